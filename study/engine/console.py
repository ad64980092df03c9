"""What a person sees while a study runs: one line that lives, one line for each finished trial."""

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.text import Text

from study.engine.order import Order
from study.engine.plan import Plan
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
        self._live = LiveDisplay(console=console, refresh_per_second=4, transient=True, get_renderable=self.line)

    def __enter__(self) -> "Live":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def started(self, order: Order) -> None:
        """Notes a trial that was given out."""
        self.epochs[order.key] = ""

    def epoch(self, order: Order, row: dict[str, Any]) -> None:
        """Notes a running trial's epoch."""
        self.epochs[order.key] = f"epoch {row['epoch']}"

    def ended(self, order: Order, state: str, values: Sequence[float], message: str, rows: list[dict[str, Any]]) -> None:
        """Prints a finished trial's line."""
        value = values[0] if values else None
        self.epochs.pop(order.key, None)
        seconds = sum(row["seconds"] for row in rows)
        line = Text.assemble(
            (f"{short(order.key):<{self.width}} ", ""),
            (f"{state:<9}", STYLES[state]),
            (f"{shown(value):>6}", "bold" if state == "complete" else ""),
            f" {len(rows):>3} ep {seconds:>5.0f} s  ",
            (message or settings(order.params), "dim"),
        )
        line.truncate(max(40, self.console.width), overflow="ellipsis")
        self.console.print(line, soft_wrap=True)

    def line(self) -> Text:
        """The live line: what is done, what runs, the best value, the time left."""
        states = [state for state, _ in self.plan.finished.values()]
        best = self.plan.best
        parts = [f"{len(states)}/{self.total} done", f"{self.plan.running} running"]
        parts += [f"{states.count(state)} {state}" for state in ("pruned", "failed") if states.count(state)]
        parts.append(f"best {self.objective} {shown(best[0] if best else None)}")
        parts.append(f"{self._left()} left")
        line = Text(" · ".join(parts), style="bold")
        running = ", ".join(f"{short(key)} {at}" for key, at in self.epochs.items() if at)
        line.append(f"  ({running})" if running else "", style="dim")
        line.truncate(self.console.width, overflow="ellipsis")
        return line

    def _left(self) -> str:
        """Time left by the pace so far, unknown before the first trial is done."""
        done = len(self.plan.finished) - self.done_before
        if done == 0:
            return "?"
        seconds = (time.monotonic() - self.began) / done * (self.total - len(self.plan.finished))
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def shown(value: float | None) -> str:
    """A metric's value with three places; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def short(key: str) -> str:
    """A trial's key without what its place says already."""
    return key.removeprefix("ablation-").removeprefix("baseline-")[:NAME_WIDTH]


def settings(params: Mapping[str, Any]) -> str:
    """Settings in short: the last part of each name, numbers with three digits, holes by their choices or bounds."""
    return ", ".join(f"{name.split('.')[-1]} {_brief(value)}" for name, value in params.items())


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and is_hole(value):
        return " | ".join(map(_brief, value["choices"])) if "choices" in value else f"{_brief(value['low'])} to {_brief(value['high'])}"
    if isinstance(value, Mapping):
        inner = settings({k: v for k, v in value.items() if k != "name"})
        return f"{value.get('name', '')}({inner})" if inner else str(value.get("name", value))
    if isinstance(value, list):
        return " ".join(map(_brief, value))
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
