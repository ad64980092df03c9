"""A run has one driver: it says so in a file of the run folder, and a second driver is refused.

    <run>/driver/<random>.json     host, pid, when that process began and when the drive began
    <run>/driver/<random>.beat     written again and again while the driver lives

Every driver first writes a claim of its own and then looks for the claims of others. It has the run where it
sees none: of two drivers, the one whose claim came later sees the other's, so never both have it. This needs
no conditional write, which pyarrow offers for no storage, but a storage that lists what was just written, as
S3 does. Where several start in the same moment, those whose names are not the smallest withdraw and try
again, so that one gets the run. The first beat says that its driver has the run and no longer decides.

A claim without a sign of life for `LEASE_S` is deleted by the next driver. Ages are differences between the
storage's own times of two files, so the clocks of the machines do not matter. The claim is the fence of the
run: a driver whose claim was deleted, and each of its trials, find it missing before they publish, and write
nothing more. Between that look and the write lies one request, which only a conditional write could guard.
"""

import json
import logging
import os
import platform
import time
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
DECIDE_S = 30.0  # a rival that has not decided by then counts as stuck
POLLS_S = (0.1, 5.0)  # the first pause before a driver looks again, and the longest
DEAD = "dead"
UNREADABLE = "a claim that cannot be read"
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
    """Gets the run, or raises StorageError; waits for rivals that have just started, too."""
    until, pause_s = time.monotonic() + DECIDE_S, POLLS_S[0]
    try:
        _write_claim(store, name)
        while rivals := _rivals(store, name):
            if any(rival.decided for rival in rivals) or time.monotonic() > until:
                raise _refusal(store, rivals[0])
            if min(rival.name for rival in rivals) > name:
                time.sleep(POLLS_S[0])
                continue
            _delete(store, f"{name}.json")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, POLLS_S[1])
            _write_claim(store, name)
        _write_beat(store, name)
    except REFUSALS as error:
        raise StorageError(
            f"`{store.where}`: must be a storage that answers, got: {error}. Give the same command again."
        ) from None


def _write_claim(store: Store, name: str) -> None:
    store.write_bytes(f"{name}.json", json.dumps(asdict(Claim.of_this_process())).encode())


def _write_beat(store: Store, name: str) -> None:
    with store.filesystem.open_output_stream(store.path(f"{name}.beat")) as stream:
        stream.write(b"")


def _beat(store: Store, name: str, ended: Event) -> None:
    """Gives signs of life until the drive ends; the claim itself is never written again."""
    while not ended.wait(BEAT_S):
        try:
            _write_beat(store, name)
        except REFUSALS as error:
            LOG.warning("the driver's claim is not refreshed: %s", error)


def _give_up(store: Store, name: str) -> None:
    """Deletes a claim; one that the storage keeps grows old by itself, and must not hide another error."""
    try:
        for ending in ("json", "beat"):
            _delete(store, f"{name}.{ending}")
    except REFUSALS as error:
        LOG.warning("the driver's claim is left behind: %s", error)


@dataclass(frozen=True, kw_only=True)
class _Rival:
    """Another claim that counts.

    Attributes:
        name: Path of the claim in the run folder, without its ending.
        age_s: Seconds since its last sign of life.
        who: Whose it is, for the message.
        decided: Whether its driver has the run, or nobody knows whether it still decides.
    """

    name: str
    age_s: float
    who: str
    decided: bool


def _rivals(store: Store, own: str) -> list[_Rival]:
    """The other claims that count; those of dead processes are removed.

    Args:
        store: Records of the run.
        own: Name of this process's own claim, which was just written.
    """
    times = {
        f"{FOLDER}/{parts[-1]}": info.mtime_ns
        for parts, info in store.entries(FOLDER)
        if info.type == fs.FileType.File
    }
    now = times.get(f"{own}.json")
    rivals = []
    for claim in sorted(name for name in times if name.endswith(".json") and name != f"{own}.json"):
        name = claim.removesuffix(".json")
        beat = f"{name}.beat"
        signs = [time for time in (times[claim], times.get(beat)) if time is not None]
        age_s = (now - max(signs)) / 1e9 if signs and now is not None else 0.0
        who = _driver_of(store, claim) if age_s <= LEASE_S else DEAD
        if who == DEAD:
            for file in (claim, beat):
                _delete(store, file)
        elif who is not None:
            decided = beat in times or age_s > DECIDE_S or who.startswith(UNREADABLE)
            rivals.append(_Rival(name=name, age_s=age_s, who=who, decided=decided))
    return rivals


def _driver_of(store: Store, claim: str) -> str | None:
    """Whose claim it is: `DEAD` where its process is known to have ended, None where the claim is gone.

    A claim that is gone was withdrawn, and its driver may write it again at any moment: it must not be
    deleted then. So it is also read twice before it counts as one that cannot be read.
    """
    reason = ""
    for _ in range(2):
        try:
            found = Claim(**json.loads(store.read_bytes(claim)))
        except (StorageError, ValueError, TypeError) as error:
            if not store.exists(store.path(claim)):
                return None
            reason = str(error)
        else:
            break
    else:
        return f"{UNREADABLE} ({reason})"
    if found.is_dead:
        return DEAD
    return f"a second one beside process {found.pid} on {found.host}, which has driven it since {found.since}"


def _refusal(store: Store, rival: _Rival) -> StorageError:
    return StorageError(
        f"`{store.where}`: a run has one driver at a time, got {rival.who}. Wait for it or stop it; if that "
        f"machine is gone, give the same command again in {max(1, round(LEASE_S - rival.age_s))} s, or "
        f"delete `{store.place(f'{rival.name}.json')}`."
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
