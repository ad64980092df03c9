"""The search as it went: the validation value of every trial in the order of ending, and the best so far.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import BLUE, GREY, ORANGE, RED, sheet
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run

STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class _HistoryData:
    """One entry for each trial, in the order of ending.

    Attributes:
        measure: The objective.
        value: Validation value of each trial; NaN where it failed.
        state: State of each trial.
        best: Best value of a complete trial so far; NaN before the first one.
    """

    measure: str
    value: Float[np.ndarray, " t"]
    state: Shaped[np.ndarray, " t"]
    best: Float[np.ndarray, " t"]


class History:
    """Search history."""

    title = "Search history"
    section = "search"

    def data(self, run: Run) -> _HistoryData | None:
        """None where nothing was searched."""
        trials = run.of_role("search")
        if trials.empty:
            return None
        value, state = trials["value"].to_numpy(float), trials["state"].to_numpy(str)
        complete = np.where(state == "complete", value, np.nan)
        best = np.maximum.accumulate(np.nan_to_num(complete, nan=-np.inf))
        return _HistoryData(run.objective, value, state, np.where(np.isfinite(best), best, np.nan))

    def draw(self, data: _HistoryData) -> Figure:
        """Dots for trials, a step line for the best so far, crosses on the axis for failures."""
        figure = sheet()
        axes = figure.subplots()
        place = np.arange(1, len(data.value) + 1)
        axes.step(place, data.best, where="post", color=BLUE, label="best so far")
        _draw_trials(axes, data, place)
        xlim = (0.5, len(place) + 0.5)
        axes.set(xlabel="trials ended", ylabel=f"{short_name(data.measure)}, validation", xlim=xlim)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper right", ncols=4)
        return figure

    def caption(self, data: _HistoryData) -> str:
        """Counts of the states."""
        numbers = {state: int((data.state == state).sum()) for state in STATES}
        counts = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
        return (
            f"Validation value ({full_name(data.measure)}) of each trial in the order in which they ended: "
            f"{counts}."
        )


def _draw_trials(axes: Axes, data: _HistoryData, place: np.ndarray) -> None:
    for state, colour, marker in (("complete", GREY, "o"), ("pruned", ORANGE, "v")):
        known = (data.state == state) & np.isfinite(data.value)
        if known.any():
            look: Any = {"s": 14, "color": colour, "marker": marker, "zorder": 3, "linewidths": 0}
            axes.scatter(place[known], data.value[known], label=state, **look)
    failed = data.state == "failed"
    if failed.any():
        look = {"s": 18, "color": RED, "marker": "x", "zorder": 4, "linewidths": 1, "clip_on": False}
        bottom = axes.get_xaxis_transform()
        axes.scatter(place[failed], np.zeros(failed.sum()), label="failed", transform=bottom, **look)
