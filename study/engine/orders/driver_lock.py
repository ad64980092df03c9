"""A run has one driver: it says so in a file of the run folder, and a second driver is refused.

    <run>/driver/<random>.json     host, pid, when that process began and when the drive began

Every driver first writes a claim of its own and then looks for the claims of others. This is safe on a
storage that cannot create a file exclusively: two drivers that start in the same moment may both be refused,
but they never both go on.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

from study.evidence.store import Store
from study.spec.errors import StorageError

FOLDER = "driver"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a driver says about itself.

    Attributes:
        host: Name of the machine.
        pid: Process on that machine.
        born: When the process began, as its system counts; tells it from a later one with the same number.
        since: When the drive began.
    """

    host: str
    pid: int
    born: str
    since: str

    @classmethod
    def of_this_process(cls) -> Self:
        """The claim of a drive that begins now."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(host=platform.node(), pid=os.getpid(), born=_born(os.getpid()), since=since)

    @property
    def is_dead(self) -> bool:
        """Whether the process has certainly ended; nobody can say that of a process on another machine."""
        return self.host == platform.node() and _born(self.pid) != self.born


@contextmanager
def driving(store: Store) -> Iterator[None]:
    """Claims the run for this process until the block ends.

    The claims of dead processes of this machine do not count.

    Raises:
        StorageError: Another process drives the run.
    """
    name = f"{FOLDER}/{uuid4().hex[:12]}.json"
    store.write_bytes(name, json.dumps(asdict(Claim.of_this_process())).encode())
    try:
        require_free(store, besides=name)
        yield
    finally:
        _delete(store, name)


def require_free(store: Store, besides: str = "") -> None:
    """Refuses a run that another process drives, and removes the claims of dead processes.

    Args:
        store: Records of the run.
        besides: Name of this process's own claim, which does not count.

    Raises:
        StorageError: Another process drives the run; the message says which one and since when.
    """
    for parts, _ in store.entries(FOLDER):
        name = "/".join([FOLDER, *parts])
        if name == besides or not name.endswith(".json"):
            continue
        try:
            claim = Claim(**json.loads(store.read_bytes(name)))
        except StorageError:
            continue  # its driver has just ended
        if not claim.is_dead:
            raise StorageError(
                f"`{store.where}`: a run has one driver at a time, got a second one beside process "
                f"{claim.pid} on {claim.host}, which has driven it since {claim.since}. Wait for it or stop "
                f"it; if that machine is gone, delete `{store.where}/{name}`."
            )
        _delete(store, name)


def _delete(store: Store, name: str) -> None:
    path = store.path(name)
    if store.exists(path):
        store.filesystem.delete_file(path)


def _born(pid: int) -> str:
    """When a process of this machine began, as its system counts; empty where there is no such process.

    A system without the folder /proc does not say when; there every living process has the same answer.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _alive(pid)


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # the process is there, but it is another user's
    return "alive"
