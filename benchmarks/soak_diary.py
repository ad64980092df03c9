"""The rules of the soak, and its diary."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

RULES = (
    "published trials and epochs unchanged",
    "every trial and epoch once, none left out",
    "no half-written record visible",
    "no traceback",
    "a second driver refused",
    "a driver whose cluster is dead ends by itself",
    "at the end the trials of an undisturbed run",
    "at the end no pending order, no process, no placement group, and all resources free",
)
END_S = 120.0  # seconds that the end of a process, or of what it left, may take


class BrokenRule(Exception):
    """A rule was broken; the message says which."""


def require(holds: bool, rule: str) -> None:
    """Raises BrokenRule unless the rule holds."""
    if not holds:
        raise BrokenRule(rule)


def require_soon(rule: str, left: Callable[[], Sequence[str]]) -> None:
    """Waits until nothing is left, and raises BrokenRule when that takes too long."""
    until = time.monotonic() + END_S
    while still := left():
        require(time.monotonic() < until, f"{rule}, got {still}")
        time.sleep(0.5)


def left_on_cluster() -> list[str]:
    """Placement groups and cores that a study has not given back."""
    import ray
    from ray.util import placement_group_table

    states = [group["state"] for group in placement_group_table().values()]
    left = [f"placement group {state}" for state in states if state != "REMOVED"]
    free, all_cores = ray.available_resources().get("CPU", 0.0), ray.cluster_resources()["CPU"]
    if free != all_cores:
        left.append(f"{free:g} of {all_cores:g} cores")
    return left


def processes(mark: Path) -> dict[int, str]:
    """Command lines of live processes with this mark in their environment, by process id."""
    entry = f"SOAK_MARK={mark}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if entry in (process / "environ").read_bytes().split(b"\0"):
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line:  # a zombie has none
                    found[int(process.name)] = line
    return found


@dataclass
class Diary:
    """A printed line for each event, and the numbers of the summary.

    Attributes:
        events: Number of disturbances by their names.
        rounds: Number of rounds by their kinds.
        trials: Number of trials finished in all rounds.
        restarts: Number of times that a study was started again.
        checks: Number of times that the rules were checked.
        longest_s: Longest time from a disturbance to the next finished trial, in seconds.
    """

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
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.rounds.items())
        lines = [
            f"# Soak\n\n`{command}`: every rule held.\n",
            "| event | times |",
            "|---|---|",
            *(f"| {event} | {count} |" for event, count in sorted(self.events.items())),
            "",
            f"- {sum(self.rounds.values())} rounds: {kinds}",
            f"- {self.trials} trials finished, {self.restarts} restarts",
            f"- longest time from an event to the next finished trial: {self.longest_s:.0f} s",
            f"- {self.checks} checks of: {'; '.join(RULES)}",
        ]
        return "\n".join(lines)
