"""Folders that are built once and appear whole, however many processes want them at the same time."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.spec.errors import CacheError


def build_once(home: Path, mark: str, fill: Callable[[Path], None]) -> None:
    """Builds the folder `home` where it does not exist: filled under another name, then renamed.

    Of several processes that want the same folder, one builds it while the others wait for its lock. The lock
    ends with its process. On a file system without locks each process builds the folder for itself, and the
    first one to finish wins.

    Args:
        home: The folder; the one above it is made, too.
        mark: Name of a file in a whole `home`; `home` counts as built where the file exists.
        fill: Writes everything into the folder that it is given.

    Raises:
        CacheError: the folder cannot be written.
    """
    if (home / mark).is_file():
        return
    with locked(home):
        if not (home / mark).is_file():
            _build(home, mark, fill)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Lets one process at a time build a folder.

    The first holder of the lock deletes its file at the end. Processes that come later find the folder; where
    the first one failed, they lock a new file and may work beside those that waited for the old one, which
    does no harm, since each process fills a folder of its own before it renames it.
    """
    file = home.parent / f".{home.name}.lock"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("w")
    except OSError as error:
        raise unwritable(home.parent, error) from None
    with lock:
        with suppress(OSError):  # the file system has no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _build(home: Path, mark: str, fill: Callable[[Path], None]) -> None:
    """Fills a folder and renames it to `home`, unless another process has built `home` meanwhile."""
    try:
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=home.parent))
    except OSError as error:
        raise unwritable(home.parent, error) from None
    try:
        fill(building)
        building.rename(home)
    except OSError as error:
        if not (home / mark).is_file():
            raise unwritable(home, error) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def unwritable(folder: Path, error: OSError) -> CacheError:
    """The error of a cache that refuses to be written."""
    return CacheError(
        f"`{folder}`: the cache must be writable, got: {error}. Free some room, or choose another folder "
        "with STUDY_CACHE."
    )
