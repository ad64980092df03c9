"""One study of the soak: its starts, what happens to it, and the rules that hold all the while."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from study.engine.orders.pending_orders import PendingOrders
from study.engine.search.conductor import LIVES
from study.evidence.store import Store

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
RULES = """published trials and epochs unchanged; every trial and epoch once, none left out; nothing half-written visible; no traceback;
a second driver refused; a dead cluster ends the driver by itself; at the end the trials of an undisturbed run, nothing pending,
no process left, no placement group left, all resources free"""
STALL_S, END_S = 300.0, 120.0


class Broken(Exception):
    """A rule was broken."""


def require(holds: bool, rule: str) -> None:
    if not holds:
        raise Broken(rule)


def require_soon(rule: str, left: Callable[[], Sequence[str]]) -> None:
    until = time.monotonic() + END_S
    while still := left():
        require(time.monotonic() < until, f"{rule}, got {still}")
        time.sleep(0.5)


@dataclass(frozen=True)
class Kind:
    """A kind of round: what may happen in it, its settings, and where it runs."""

    name: str
    events: Sequence[str]
    settings: dict[str, Any] = field(default_factory=dict)
    joined: bool = False
    small_disk: bool = False


@dataclass
class Diary:
    """A line for each event, and the numbers of the summary."""

    events: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    restarts: int = 0
    checks: int = 0
    longest_s: float = 0.0

    def say(self, what: str, outcome: str) -> None:
        """Prints a line."""
        print(f"{time.strftime('%H:%M:%S')}  {what:<40} {outcome}", flush=True)

    def summary(self, command: str) -> str:
        """The numbers in Markdown."""
        lines = [f"# Soak\n\n`{command}`: every rule held.\n\n| event | times |\n|---|---|"]
        lines += [f"| {event} | {count} |" for event, count in sorted(self.events.items())]
        lines += [
            f"\n- {sum(self.rounds.values())} rounds: "
            + ", ".join(f"{count} {kind}" for kind, count in self.rounds.items())
        ]
        lines += [f"- {self.trials} trials finished, {self.restarts} restarts"]
        lines += [
            f"- longest from an event to the next finished trial: {self.longest_s:.0f} s",
            f"- {self.checks} checks of: {RULES}",
        ]
        return "\n".join(lines)


def processes(mark: Path) -> dict[int, str]:
    """Command lines of live processes with this mark in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"SOAK_MARK={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return {pid: line for pid, line in found.items() if line}


def exit_code(process: "subprocess.Popen[bytes]") -> int | None:
    """Of a process that ends by itself soon; None when it does not."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    return process.poll()


class Round:
    """One study from its first start to its end, with what happens to it."""

    def __init__(self, kind: Kind, folder: Path, address: str, diary: Diary, chance: random.Random) -> None:
        self.kind, self.folder, self.diary, self.chance = kind, folder, diary, chance
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.yaml").write_text(yaml.safe_dump(STUDY))
        settings = {"storage": folder / "disk", "resources.address": address, **kind.settings}
        self.command = [
            sys.executable,
            "-m",
            "study.run",
            "soak.yaml",
            *(w for k, v in settings.items() for w in ("--set", f"{k}={v}")),
        ]
        self.environment = {
            **os.environ,
            "STUDY_CACHE": str(folder.parent / "cache"),
            "SOAK_MARK": str(folder),
        }
        self.environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        self.store = Store(folder / "disk" / STUDY["study"])
        self.keys: list[str] = []
        self.published: list[pa.Table] = []
        self.moved_at, self.hit_at, self.deaths = time.monotonic(), float("inf"), 0
        self.process = self._start()

    def _start(self, output: str = "output.txt") -> "subprocess.Popen[bytes]":
        with (self.folder / output).open(
            "ab"
        ) as file:  # a pipe would be held by Ray's processes, which inherit it
            return subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )

    def _again(self) -> None:
        self.process, self.deaths = self._start(), 0
        self.diary.restarts += 1

    def _said(self, output: str = "output.txt") -> str:
        return " ".join((self.folder / output).read_text().split())

    def check(self) -> None:
        """The rules that hold at any moment."""
        if self.keys:
            require(
                [self.store.read_table(name, self.keys) for name in ("trial", "epochs")] == self.published,
                "what was published stays",
            )
        keys = self.store.keys()
        trials, epochs = self.published = [self.store.read_table(name, keys) for name in ("trial", "epochs")]
        require(not self.store.problems, f"nothing half-written visible, got {self.store.problems}")
        require(trials["trial"].to_pylist() == keys, "every trial once")
        wanted = [(row["trial"], n + 1) for row in trials.to_pylist() for n in range(row["num_epochs"])]
        require(
            sorted(zip(epochs["trial"].to_pylist(), epochs["epoch"].to_pylist(), strict=True)) == wanted,
            "every epoch once",
        )
        require("Traceback" not in self._said(), "no traceback")
        if len(keys) > len(self.keys):
            self.moved_at, self.deaths = time.monotonic(), 0
            self.diary.longest_s, self.hit_at = (
                max(self.diary.longest_s, self.moved_at - self.hit_at),
                float("inf"),
            )
        require(time.monotonic() - self.moved_at < STALL_S, f"another finished trial in {STALL_S:g} s")
        self.keys = keys
        self.diary.checks += 1

    def goes_on(self, seconds: float) -> bool:
        """Lets the study run that long; False when it has come to its end. One that a full disk has ended is started again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            code = self.process.poll()
            if code == 2 and self.kind.small_disk and "No space left" in self._said():
                self.diary.say(self.kind.name, "the study has ended, started again")
                self._again()
            elif code is not None:
                require(code == 0, f"the study ends with exit code 0, got {code}")
                return False
            time.sleep(1.0)
            self.check()
        return True

    def happen(self, event: str) -> bool:
        """One disturbance; False when there is nothing to disturb at this moment."""
        act = {
            "driver": self._kill_driver,
            "second driver": self._start_second,
            "full disk": self._fill,
            "raylet": self._kill_raylet,
        }
        at, outcome = time.monotonic(), act.get(event, lambda: self._kill_part(event))()
        if outcome:
            self.hit_at = at
            self.diary.events[event] += 1
            self.diary.say(f"{self.kind.name}: {event}", f"{outcome}; {len(self.keys)} trials kept")
        self.check()
        return bool(outcome)

    def _kill_driver(self) -> str:
        self.process.kill()
        self.process.wait()
        wait_s = self.chance.choice([0, 0, 3])  # at once, while the old trial's process may still work
        time.sleep(wait_s)
        self._again()
        return f"killed, started again after {wait_s} s"

    def _kill(self, name: str) -> str:
        marks = [self.folder, *([self.folder.parent / "cluster"] if self.kind.joined else [])]
        found = [pid for mark in marks for pid, line in processes(mark).items() if name in line]
        if not found:
            return ""
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(found), signal.SIGKILL)
        return "killed"

    def _kill_part(self, event: str) -> str:
        """A trial's process, or one of its workers; the last of a trial's lives is left to it, or it would rightly fail."""
        outcome = self._kill(PROCESSES[event]) if self.deaths < LIVES - 1 else ""
        self.deaths += bool(outcome)
        return outcome

    def _kill_raylet(self) -> str:
        at = time.monotonic()
        if not self._kill(PROCESSES["raylet"]):
            return ""
        code = exit_code(self.process)
        if code == 0:
            return "killed as the study ended"
        require(code is not None, "a dead cluster ends the driver by itself")
        self._again()
        return f"killed, the driver ended after {time.monotonic() - at:.0f} s with code {code}, started again"

    def _start_second(self) -> str:
        if not any((self.folder / "disk" / STUDY["study"] / "driver").glob("*.json")):
            return ""  # the first has not claimed the run yet, and both might be refused
        code = exit_code(self._start("second.txt"))
        if self.process.poll() is not None:
            return ""  # it came as the first ended
        refused = code == 2 and "a run has one driver at a time" in self._said("second.txt")
        require(refused, f"a second driver refused, got exit code {code}")
        return "refused"

    def _fill(self) -> str:
        filler, seconds = self.folder / "disk" / "filler", self.chance.uniform(1, 12)
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        time.sleep(seconds)
        filler.unlink()
        return f"full for {seconds:.0f} s"

    def end(self) -> list[dict[str, Any]]:
        """Checks the rules of a study's end, and gives what must be the same in every round of these settings."""
        self.check()
        require(not PendingOrders(self.store).orders(), "nothing pending")
        require_soon("no process left", lambda: list(processes(self.folder).values()))
        if self.kind.joined:
            require_soon("no placement group left, all resources free", left_on_cluster)
        self.diary.trials += len(self.keys)
        rows: list[dict[str, Any]] = (
            self.published[0].select(["trial", "number", "params", "state", "value"]).to_pylist()
        )
        return rows


def left_on_cluster() -> list[str]:
    """Placement groups and cores that a study has not given back."""
    import ray
    from ray.util import placement_group_table

    groups = [
        f"placement group {group['state']}"
        for group in placement_group_table().values()
        if group["state"] != "REMOVED"
    ]
    free, all_cores = ray.available_resources().get("CPU", 0.0), ray.cluster_resources()["CPU"]
    return groups + ([f"{free:g} of {all_cores:g} cores"] if free != all_cores else [])
