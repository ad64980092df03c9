"""Folders that are made once and appear whole, however many processes want them at the same time."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.spec.errors import StorageError


def build_once(home: Path, mark: str, fill: Callable[[Path], None]) -> None:
    """Makes the folder `home` where it is not there yet: filled aside under another name, then renamed.

    Trials that start together on a new node wait for the first of them, which works for all; its lock ends with its process. On a
    file system without locks each works for itself, and the first one to finish wins.

    Args:
        home: the folder; the one above it is made too.
        mark: a file of a whole `home`, by which it is known to be there.
        fill: writes everything into the folder that it is given.

    Raises:
        StorageError: the folder cannot be written.
    """
    if (home / mark).is_file():
        return
    with _one_at_a_time(home):
        if not (home / mark).is_file():
            _make(home, mark, fill)


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Its file goes with the first that had it: who comes later finds `home`, or, where the first failed, works beside those who waited."""
    file = home.parent / f".{home.name}.lock"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("w")
    except OSError as error:
        raise _unwritable(home.parent, error) from None
    with lock:
        with suppress(OSError):  # no locks here
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _make(home: Path, mark: str, fill: Callable[[Path], None]) -> None:
    """A folder that is there already when this one is full stays."""
    try:
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=home.parent))
    except OSError as error:
        raise _unwritable(home.parent, error) from None
    try:
        fill(building)
        building.rename(home)
    except OSError as error:
        if not (home / mark).is_file():
            raise _unwritable(home, error) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"`{folder}`: the cache of images must be writable, got: {error}. Free some room or choose another folder."
    )
