"""One driver a run: who drives it says so in a file of the run folder, and a second one is refused.

    <run>/driver/<random>.json     host, pid, when that process and when the drive began

Every driver writes a claim of its own and then looks for others, which is safe on storages that cannot create a file
exclusively: of two that start in the same moment both may be refused, never none.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pyarrow import fs

from study.evidence.store import Store
from study.spec.errors import StorageError

FOLDER = "driver"


@dataclass(frozen=True)
class Claim:
    """Who drives a run.

    Attributes:
        host: name of the machine.
        pid: process on it.
        born: when that process began, in the system's own clock; tells a process from a later one of the same number.
        since: when the drive began.
    """

    host: str
    pid: int
    born: str
    since: str

    @property
    def is_dead(self) -> bool:
        """Whether the process has certainly ended; of another machine's nobody can say."""
        return self.host == platform.node() and _born(self.pid) != self.born


@contextmanager
def driving(store: Store) -> Iterator[None]:
    """Claims the run for this process until the block ends, takes over from a dead process of this machine.

    Raises:
        StorageError: another process drives the run.
    """
    name = f"{FOLDER}/{uuid4().hex[:12]}.json"
    mine = Claim(
        platform.node(), os.getpid(), _born(os.getpid()), datetime.now(UTC).isoformat(timespec="seconds")
    )
    store.write_bytes(name, json.dumps(asdict(mine)).encode())
    try:
        require_free(store, besides=name)
        yield
    finally:
        _delete(store, name)


def require_free(store: Store, besides: str = "") -> None:
    """Refuses a run that another process drives, and removes the claims of dead ones.

    Args:
        store: the run.
        besides: this process's own claim.

    Raises:
        StorageError: another process drives the run; the message says which and since when.
    """
    for info in store.filesystem.get_file_info(
        fs.FileSelector(f"{store.root}/{FOLDER}", allow_not_found=True)
    ):
        name = f"{FOLDER}/{info.base_name}"
        if name == besides or not name.endswith(".json"):
            continue
        try:
            claim = Claim(**json.loads(store.read_bytes(name)))
        except StorageError:
            continue  # its driver has just ended
        if claim.is_dead:
            _delete(store, name)
            continue
        raise StorageError(
            f"`{store.where}`: a run has one driver at a time, got a second one beside process {claim.pid} on {claim.host}, "
            f"which drives it since {claim.since}. Wait for it or stop it; if that machine is gone, delete `{store.where}/{name}`."
        )


def _delete(store: Store, name: str) -> None:
    path = f"{store.root}/{name}"
    if store.filesystem.get_file_info(path).type != fs.FileType.NotFound:
        store.filesystem.delete_file(path)


def _born(pid: int) -> str:
    """When a process of this machine began; empty where there is none. Without /proc only that it lives."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
