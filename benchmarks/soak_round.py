"""One round of the soak: a study, its disturbances, and the rules that it must keep."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from soak_diary import (
    END_S,
    Diary,
    left_on_cluster,
    processes,
    require,
    require_soon,
)  # a script finds the file beside it

from study.engine.orders.pending_orders import PendingOrders
from study.engine.search.conductor import LIVES
from study.evidence.run_folder import place_below
from study.evidence.store import Store
from tests.storage.s3 import Server

STUDY: dict[str, Any] = {
    "study": "soak",
    "data": {"dataset": "phantom", "phantom_patients": 120, "image_px": 32},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 30, "patience": 30, "warmup_epochs": 0},
    "search": {"trials": 12, "startup": 3},
    "resources": {"concurrent": 1, "cpus_per_worker": 1},
}
PROCESSES = {"trial": "ray::ImplicitFunc", "worker": "RayTrainWorker", "raylet": "/raylet/raylet "}
UNFINISHED = "has no trial.parquet"  # what a trial is on an object store until its last file is written
OUTAGE_S = 30.0  # of the object store
STALL_S = 300.0  # seconds within which another trial must finish


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of round.

    Attributes:
        name: What the diary calls it.
        events: Disturbances from which each one is drawn.
        settings: Settings of the study, by dotted key.
        joined: Whether the study joins a cluster that outlives it.
        small_disk: Whether the run is on a disk that is soon full.
        on_s3: Whether the run is on an object store that refuses a share of the requests.
    """

    name: str
    events: Sequence[str]
    settings: dict[str, Any] = field(default_factory=dict)
    joined: bool = False
    small_disk: bool = False
    on_s3: bool = False


def exit_code(process: "subprocess.Popen[bytes]") -> int | None:
    """Exit code of a process that should end by itself soon; None when it does not."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    return process.poll()


class Round:
    """One study from its first start to its end.

    Args:
        kind: Kind of the round.
        folder: Folder of the round.
        address: Address of the cluster, or `local`.
        diary: Diary of the soak.
        chance: Generator of every random choice.
        server: The object store of a round that needs one.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        address: str,
        diary: Diary,
        chance: random.Random,
        server: Server | None = None,
    ) -> None:
        self.kind, self.folder, self.diary, self.chance = kind, folder, diary, chance
        self.server = server
        storage = server.uri(folder.name) if server and kind.on_s3 else str(folder / "disk")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.yaml").write_text(yaml.safe_dump(STUDY))
        self.command = [sys.executable, "-m", "study.run", "soak.yaml"]
        settings = {"storage": storage, "resources.address": address, **kind.settings}
        for key, value in settings.items():
            self.command += ["--set", f"{key}={value}"]
        self.environment = {
            **os.environ,
            "STUDY_CACHE": str(folder.parent / "cache"),
            "SOAK_MARK": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        self.store = Store(place_below(storage, STUDY["study"]))
        self.keys: list[str] = []
        self.published: list[pa.Table] = []
        self.finished_at = time.monotonic()  # when the last trial was finished
        self.disturbed_at = float("inf")  # when the study was last disturbed, if no trial was finished since
        self.deaths = 0  # processes that were killed under the running trial
        self.process = self._start()

    def _start(self, output: str = "output.txt") -> "subprocess.Popen[bytes]":
        # The output goes to a file: Ray's processes inherit it, and would keep a pipe open.
        with (self.folder / output).open("ab") as file:
            return subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )

    def _start_again(self) -> None:
        self.process = self._start()
        self.deaths = 0
        self.diary.restarts += 1

    def _said(self, output: str = "output.txt") -> str:
        return " ".join((self.folder / output).read_text().split())

    def check(self) -> None:
        """Checks the rules that hold at any moment."""
        if self.keys:
            require(self._records(self.keys) == self.published, "published records stay as they are")
        keys = self.store.keys()
        self.published = self._records(keys)
        trials, epochs = (table.to_pylist() for table in self.published)
        problems = [line for line in self.store.problems if not (self.kind.on_s3 and UNFINISHED in line)]
        require(not problems, f"no half-written record visible, got {problems}")
        require([row["trial"] for row in trials] == keys, "every trial once")
        wanted = [(row["trial"], epoch) for row in trials for epoch in range(1, row["num_epochs"] + 1)]
        require(sorted((row["trial"], row["epoch"]) for row in epochs) == wanted, "every epoch once")
        require("Traceback" not in self._said(), "no traceback")
        if len(keys) > len(self.keys):
            self._note_progress()
        waited = time.monotonic() - self.finished_at
        require(waited < STALL_S, f"another finished trial within {STALL_S:g} s")
        self.keys = keys
        self.diary.checks += 1

    def _records(self, keys: Sequence[str]) -> list[pa.Table]:
        return [self.store.read_table(name, keys) for name in ("trial", "epochs")]

    def _note_progress(self) -> None:
        self.finished_at = time.monotonic()
        self.deaths = 0
        self.diary.longest_s = max(self.diary.longest_s, self.finished_at - self.disturbed_at)
        self.disturbed_at = float("inf")

    def goes_on(self, seconds: float) -> bool:
        """Lets the study run for so long, and checks the rules; False when the study has ended.

        A study that a full disk has ended is started again.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            code = self.process.poll()
            if code == 2 and self.kind.small_disk and "No space left" in self._said():
                self.diary.say(self.kind.name, "the study has ended, started again")
                self._start_again()
            elif code is not None:
                require(code == 0, f"the study ends with exit code 0, got {code}")
                return False
            time.sleep(1.0)
            self.check()
        return True

    def disturb(self, event: str) -> bool:
        """Disturbs the study once; False when there is nothing to disturb at this moment."""
        at = time.monotonic()
        outcome = self._act(event)
        if outcome:
            self.disturbed_at = at
            self.diary.events[event] += 1
            self.diary.say(f"{self.kind.name}: {event}", f"{outcome}; {len(self.keys)} trials kept")
        self.check()
        return bool(outcome)

    def _act(self, event: str) -> str:
        """Does what the event says, and gives a line for the diary; empty when there was nothing to do."""
        match event:
            case "driver":
                return self._kill_driver()
            case "second driver":
                return self._start_second()
            case "full disk":
                return self._fill_disk()
            case "outage":
                return self._refuse_all()
            case "raylet":
                return self._kill_raylet()
            case _:
                return self._kill_part(event)

    def _kill_driver(self) -> str:
        self.process.kill()
        self.process.wait()
        wait_s = self.chance.choice([0, 0, 3])  # at once, while the old trial's process may still work
        time.sleep(wait_s)
        self._start_again()
        return f"killed, started again after {wait_s} s"

    def _kill(self, name: str) -> bool:
        """Kills one of the processes whose command line has the name; False when there is none."""
        marks = [self.folder, *([self.folder.parent / "cluster"] if self.kind.joined else [])]
        found = [pid for mark in marks for pid, line in processes(mark).items() if name in line]
        if not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(found), signal.SIGKILL)
        return True

    def _kill_part(self, event: str) -> str:
        """Kills a trial's process or one of its workers.

        The last of a trial's lives is left to it, since a trial that loses all of them rightly fails.
        """
        if self.deaths >= LIVES - 1 or not self._kill(PROCESSES[event]):
            return ""
        self.deaths += 1
        return "killed"

    def _kill_raylet(self) -> str:
        at = time.monotonic()
        if not self._kill(PROCESSES["raylet"]):
            return ""
        code = exit_code(self.process)
        if code == 0:
            return "killed as the study ended"
        require(code is not None, "a driver whose cluster is dead ends by itself")
        self._start_again()
        seconds = time.monotonic() - at
        return f"killed, the driver ended after {seconds:.0f} s with code {code}, started again"

    def _start_second(self) -> str:
        if not self._drives():
            return ""  # the first has not claimed the run yet, and both might be refused
        code = exit_code(self._start("second.txt"))
        if self.process.poll() is not None:
            return ""  # the first ended in the meantime
        refused = code == 2 and "a run has one driver at a time" in self._said("second.txt")
        require(refused, f"a second driver refused, got exit code {code}")
        return "refused"

    def _drives(self) -> bool:
        """Whether the present driver has the run, and not only one that was killed."""
        names = {parts[-1] for parts, _ in self.store.entries("driver")}
        beats = [name.removesuffix(".beat") for name in names if name.endswith(".beat")]
        claims = [self.store.read_bytes(f"driver/{name}.json") for name in beats if f"{name}.json" in names]
        return any(json.loads(claim)["pid"] == self.process.pid for claim in claims)

    def _fill_disk(self) -> str:
        filler = self.folder / "disk" / "filler"
        seconds = self.chance.uniform(1, 12)
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        time.sleep(seconds)
        filler.unlink()
        return f"full for {seconds:.0f} s"

    def _refuse_all(self) -> str:
        if self.server is None or not self._drives():
            return ""  # a study that starts says at once that the store refuses
        share, self.server.refuses = self.server.refuses, 1.0
        time.sleep(OUTAGE_S)
        self.server.refuses = share
        self.finished_at += OUTAGE_S
        return f"everything refused for {OUTAGE_S:g} s"

    def end(self) -> list[dict[str, Any]]:
        """Checks the rules of a study's end, and gives what all rounds of these settings have in common."""
        self.check()
        store = Store(self.store.where)  # whose problems are those of now
        require(store.keys() == self.keys and not store.problems, f"whole records, got {store.problems}")
        require(not PendingOrders(self.store).orders(), "no pending order")
        require_soon("no process left", lambda: list(processes(self.folder).values()))
        if self.kind.joined:
            require_soon("no placement group left, all resources free", left_on_cluster)
        self.diary.trials += len(self.keys)
        common = self.published[0].select(["trial", "number", "params", "state", "value"])
        rows: list[dict[str, Any]] = common.to_pylist()
        return rows
