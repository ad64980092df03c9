"""A run has one driver: it says so in a file of the run folder, and a second driver is refused.

    <run>/driver/<random>.json     host, pid, when that process began and when the drive began
    <run>/driver/<random>.beat     written again and again while the driver lives

Every driver first writes a claim of its own and then looks for the claims of others. This is safe on a
storage that cannot create a file exclusively: two drivers that start in the same moment may both be refused,
but they never both go on. pyarrow offers no conditional write for any storage.

A claim without a sign of life for `LEASE_S` is deleted by the next driver. Ages are differences between the
storage's own times of two files, so the clocks of the machines do not matter. The claim is the fence of the
run: a driver whose claim was deleted, and each of its trials, find it missing before they publish, and write
nothing more. Between that look and the write lies one request, which only a conditional write could guard.
"""

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Self
from uuid import uuid4

from pyarrow import ArrowException, fs

from study.evidence.store import Store
from study.spec.errors import StorageError

LOG = logging.getLogger(__name__)
FOLDER = "driver"
BEAT_S = 15.0
LEASE_S = 180.0  # longer than the outages of a storage that a driver survives
REFUSALS = (OSError, ArrowException)


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
    """Claims the run for this process until the block ends; the claim is the fence of the store meanwhile.

    The claims of dead processes of this machine do not count, nor do claims without a sign of life.

    Raises:
        StorageError: Another process drives the run, or the storage refuses.
    """
    name = f"{FOLDER}/{uuid4().hex[:12]}"
    ended = Event()
    beats = Thread(target=_beat, args=(store, name, ended), daemon=True)
    try:
        _claim(store, name)
        beats.start()
        store.fence = f"{name}.json"
        yield
    finally:
        store.fence = ""
        ended.set()
        if beats.is_alive():
            beats.join()
        _give_up(store, name)


def _claim(store: Store, name: str) -> None:
    try:
        store.write_bytes(f"{name}.json", json.dumps(asdict(Claim.of_this_process())).encode())
        _require_free(store, name)
    except REFUSALS as error:
        raise StorageError(
            f"`{store.where}`: must be a storage that answers, got: {error}. Give the same command again."
        ) from None


def _beat(store: Store, name: str, ended: Event) -> None:
    """Gives signs of life until the drive ends; the claim itself is never written again."""
    while not ended.wait(BEAT_S):
        try:
            with store.filesystem.open_output_stream(store.path(f"{name}.beat")) as stream:
                stream.write(b"")
        except REFUSALS as error:
            LOG.warning("the driver's claim is not refreshed: %s", error)


def _give_up(store: Store, name: str) -> None:
    """Deletes a claim; one that the storage keeps grows old by itself, and must not hide another error."""
    try:
        for ending in ("json", "beat"):
            _delete(store, f"{name}.{ending}")
    except REFUSALS as error:
        LOG.warning("the driver's claim is left behind: %s", error)


def _require_free(store: Store, own: str) -> None:
    """Refuses a run that another process drives, and removes the claims of dead processes.

    Args:
        store: Records of the run.
        own: Name of this process's own claim, which was just written.

    Raises:
        StorageError: Another process drives the run; the message says which one and since when.
    """
    times = {
        f"{FOLDER}/{parts[-1]}": info.mtime_ns
        for parts, info in store.entries(FOLDER)
        if info.type == fs.FileType.File
    }
    now = times.get(f"{own}.json")
    for claim in sorted(name for name in times if name.endswith(".json") and name != f"{own}.json"):
        beat = f"{claim.removesuffix('.json')}.beat"
        signs = [time for time in (times[claim], times.get(beat)) if time is not None]
        age_s = (now - max(signs)) / 1e9 if signs and now is not None else 0.0
        if age_s <= LEASE_S:
            _require_dead(store, claim, age_s)
        for name in (claim, beat):
            _delete(store, name)


def _require_dead(store: Store, name: str, age_s: float) -> None:
    """Refuses a run for a claim with a sign of life, unless its process is known to have ended.

    Raises:
        StorageError: Its process may live.
    """
    try:
        claim = Claim(**json.loads(store.read_bytes(name)))
    except (StorageError, ValueError, TypeError) as error:
        if not store.exists(store.path(name)):
            return  # its driver has just ended
        who = f"a claim that cannot be read ({error})"
    else:
        if claim.is_dead:
            return
        who = f"a second one beside process {claim.pid} on {claim.host}, "
        who += f"which has driven it since {claim.since}"
    raise StorageError(
        f"`{store.where}`: a run has one driver at a time, got {who}. Wait for it or stop it; if that "
        f"machine is gone, give the same command again in {max(1, round(LEASE_S - age_s))} s, or delete "
        f"`{store.place(name)}`."
    )


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
