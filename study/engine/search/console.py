"""What a person sees while a study runs: one live line, and one line for each finished trial."""

import math
import re
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.text import Text

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.plan import Plan
from study.engine.search.watching import Ended, Watcher
from study.evidence.records import EpochRecord, State
from study.spec.wording import configuration_text, number_text, shortest_names

STYLES = {State.COMPLETE: "green", State.PRUNED: "yellow", State.FAILED: "red"}
NAME_WIDTH = 28
LINES_A_SECOND = 3  # that can be read in a terminal while they come


class Live(Watcher):
    """The live line and the lines of the finished trials.

    Args:
        console: Where to write; without a terminal only the lines of the finished trials appear. Where trials
            end more quickly than lines can be read, a terminal shows some of them, and each that fails, has
            a message or is the best so far. A file has the lines of all.
        plan: What is being run.
        objective: Name of the objective.
    """

    def __init__(self, console: Console, plan: Plan, objective: str) -> None:
        self.console, self.plan, self.objective = console, plan, objective
        self.total = len(plan.finished) + plan.num_left
        self.began = time.monotonic()
        self.done_before = len(plan.finished)
        self.epochs: dict[str, str] = {}
        self.width = max((len(short(key)) for key in plan.keys), default=0)
        self.names = shortest_names(plan.spec.holes())
        self._shown = -math.inf
        self._live = LiveDisplay(
            console=console, refresh_per_second=4, transient=True, get_renderable=self.line
        )

    def __enter__(self) -> Self:
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

    def epoch(self, order: TrialOrder, record: EpochRecord) -> None:
        """Notes an epoch of a running trial."""
        self.epochs[order.key] = f"epoch {record.epoch}"

    def ended(self, trial: Ended) -> None:
        """Prints the line of a finished trial."""
        self.epochs.pop(trial.order.key, None)
        matters = trial.state is State.FAILED or bool(trial.message) or self._is_best(trial.values)
        if self.console.is_terminal and not matters and time.monotonic() - self._shown < 1 / LINES_A_SECOND:
            return
        self._shown = time.monotonic()
        value = number_text(trial.values[0] if trial.values else None)
        seconds = sum(record.seconds for record in trial.epochs)
        settings = configuration_text(trial.order.params, self.names)
        line = Text.assemble(
            f"{short(trial.order.key):<{self.width}} ",
            (f"{trial.state:<9}", STYLES[trial.state]),
            (f"{value:>6}", "bold" if trial.state is State.COMPLETE else ""),
            f" {len(trial.epochs):>3} ep {seconds:>5.0f} s  ",
            (", ".join(filter(None, (trial.message, settings))), "dim"),
        )
        if self.console.is_terminal:
            line.truncate(max(40, self.console.width), overflow="ellipsis")
        self.console.print(line, soft_wrap=True)

    def _is_best(self, values: Sequence[float]) -> bool:
        """Whether no complete trial of the search is better than one with these objectives."""
        return self.plan.best is None or (bool(values) and values[0] >= self.plan.best[0])

    def line(self) -> Text:
        """The live line: what is done and what runs, the best value and the time left.

        It is the longest of four forms that fits the width of the console.
        """
        states = [result.state for result in self.plan.finished.values()]
        done = f"{len(states)}/{self.total} done"
        now = f"{self.plan.running} running"
        counts = {state: states.count(state) for state in (State.PRUNED, State.FAILED)}
        ended = [f"{count} {state}" for state, count in counts.items() if count]
        best = number_text(self.plan.best_value)
        left = f"{self._time_left()} left"
        running = ", ".join(f"{short(key)} {epoch}" for key, epoch in self.epochs.items() if epoch)
        whole = " · ".join([done, now, *ended, f"best {self.objective} {best}", left])
        unnamed = " · ".join([done, now, *ended, f"best {best}", left])
        least = " · ".join([done, f"best {best}", left])
        forms = [f"{whole}  ({running})", whole, unnamed, least]
        fitting = [form for form in forms if len(form) <= self.console.width]
        return Text(fitting[0] if fitting else least, style="bold", no_wrap=True)

    def _time_left(self) -> str:
        """The time left at the speed so far; unknown before the first trial is done."""
        done = len(self.plan.finished) - self.done_before
        if done == 0:
            return "?"
        seconds_per_trial = (time.monotonic() - self.began) / done
        minutes, seconds = divmod(int(seconds_per_trial * (self.total - len(self.plan.finished))), 60)
        hours, minutes_of_hour = divmod(minutes, 60)
        return f"{hours}:{minutes_of_hour:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def short(key: str) -> str:
    """The key of a trial without the word for what it was run for, cut to `NAME_WIDTH` letters."""
    return re.sub("^(ablation|baseline|tune)-", "", key)[:NAME_WIDTH]
