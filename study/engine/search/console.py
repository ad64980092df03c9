"""What a person sees while a study runs: one line that lives, one line for each finished trial."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.text import Text

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.plan import Plan
from study.spec.holes import is_hole

STYLES = {"complete": "green", "pruned": "yellow", "failed": "red"}
NAME_WIDTH = 28


class Live:
    """The live line and the finished trials' lines; a `Watcher` of the search.

    Args:
        console: where to write; without a terminal only the finished trials' lines appear.
        plan: what is being run.
        objective: name of the metric.
    """

    def __init__(self, console: Console, plan: Plan, objective: str) -> None:
        self.console, self.plan, self.objective = console, plan, objective
        self.total = len(plan.finished) + plan.num_left
        self.began = time.monotonic()
        self.done_before = len(plan.finished)
        self.epochs: dict[str, str] = {}
        self.width = max((len(short(key)) for key in plan.keys), default=0)
        self.names = names_of(plan.spec.holes())
        self._live = LiveDisplay(
            console=console, refresh_per_second=4, transient=True, get_renderable=self.line
        )

    def __enter__(self) -> "Live":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, order: TrialOrder) -> None:
        """Notes a trial that was given out."""
        self.epochs[order.key] = ""

    def epoch(self, order: TrialOrder, row: dict[str, Any]) -> None:
        """Notes a running trial's epoch."""
        self.epochs[order.key] = f"epoch {row['epoch']}"

    def ended(
        self, order: TrialOrder, state: str, values: Sequence[float], message: str, rows: list[dict[str, Any]]
    ) -> None:
        """Prints a finished trial's line."""
        value = values[0] if values else None
        self.epochs.pop(order.key, None)
        seconds = sum(row["seconds"] for row in rows)
        line = Text.assemble(
            (f"{short(order.key):<{self.width}} ", ""),
            (f"{state:<9}", STYLES[state]),
            (f"{shown(value):>6}", "bold" if state == "complete" else ""),
            f" {len(rows):>3} ep {seconds:>5.0f} s  ",
            (message or settings(order.params, self.names), "dim"),
        )
        line.truncate(max(40, self.console.width), overflow="ellipsis")
        self.console.print(line, soft_wrap=True)

    def line(self) -> Text:
        """The live line: what is done, what runs, the best value, the time left; as much of it as one line holds."""
        states = [state for state, _ in self.plan.finished.values()]
        best = shown(self.plan.best[0] if self.plan.best else None)
        done, left = f"{len(states)}/{self.total} done", f"{self._left()} left"
        ended = [f"{states.count(state)} {state}" for state in ("pruned", "failed") if states.count(state)]
        now = f"{self.plan.running} running"
        running = ", ".join(f"{short(key)} {at}" for key, at in self.epochs.items() if at)
        long = " · ".join([done, now, *ended, f"best {self.objective} {best}", left])
        middle, least = (
            " · ".join([done, now, *ended, f"best {best}", left]),
            " · ".join([done, f"best {best}", left]),
        )
        forms = [f"{long}  ({running})", long, middle, least]
        return Text(
            next((form for form in forms if len(form) <= self.console.width), forms[-1]),
            style="bold",
            no_wrap=True,
        )

    def _left(self) -> str:
        """Time left by the pace so far, unknown before the first trial is done."""
        done = len(self.plan.finished) - self.done_before
        if done == 0:
            return "?"
        seconds = (time.monotonic() - self.began) / done * (self.total - len(self.plan.finished))
        hours, minutes = int(seconds) // 3600, int(seconds) // 60 % 60
        return (
            f"{hours}:{minutes:02d}:{int(seconds) % 60:02d}"
            if hours
            else f"{minutes}:{int(seconds) % 60:02d}"
        )


def shown(value: float | None) -> str:
    """A metric's value with three places; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def short(key: str) -> str:
    """A trial's key without what its place says already."""
    return key.removeprefix("ablation-").removeprefix("baseline-")[:NAME_WIDTH]


def settings(params: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Settings in short by the given names: numbers with three digits, holes by their choices or bounds."""
    return ", ".join(f"{names.get(name, name)} {_brief(value)}" for name, value in params.items())


def names_of(keys: Collection[str]) -> dict[str, str]:
    """The shortest dotted end of each key that no other key has."""
    names = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        names[key] = next(
            (e for e in ends if not any(o != key and f".{o}".endswith(f".{e}") for o in keys)), key
        )
    return names


def by_section(changes: Mapping[str, Any]) -> str:
    """Settings by dotted key in short, each section named once: `training: epochs 12, seed 0; search: trials 10`."""
    sections: dict[str, list[str]] = {}
    for key, value in changes.items():
        section, _, rest = key.partition(".")
        sections.setdefault(section, []).append(
            f"{rest} {'left out' if value is None else _brief(value)}".strip()
        )
    return "; ".join(f"{section}: {', '.join(parts)}" for section, parts in sections.items())


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and is_hole(value):
        return (
            " | ".join(map(_label, value["choices"]))
            if "choices" in value
            else f"{_brief(value['low'])} to {_brief(value['high'])}"
        )
    if isinstance(value, Mapping) and "variants" in value:
        return f"({len(value['variants'])} variants)"
    if isinstance(value, Mapping):
        inner = settings({k: v for k, v in value.items() if k != "name"}, {})
        return f"{value.get('name', '')}({inner})" if inner else str(value.get("name", value))
    if isinstance(value, list):
        return " ".join(map(_brief, value))
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _label(choice: Any) -> str:
    """A choice by its name, where it has one."""
    return str(choice["name"]) if isinstance(choice, Mapping) and "name" in choice else _brief(choice)
