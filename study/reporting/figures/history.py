"""The search as it went: validation value of every trial in the order of ending, and the best so far.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import BLUE, GREY, ORANGE, RED, sheet
from study.reporting.measures import long, short
from study.reporting.run import Run


@dataclass(frozen=True)
class _HistoryData:
    """One entry a trial: its place, its value (NaN where it failed), its state, and the best complete value so far."""

    measure: str
    value: np.ndarray
    state: np.ndarray
    best: np.ndarray


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
        sign = 1.0 if run.maximise else -1.0
        best = sign * np.maximum.accumulate(np.nan_to_num(sign * complete, nan=-np.inf))
        return _HistoryData(run.objective, value, state, np.where(np.isfinite(best), best, np.nan))

    def draw(self, data: _HistoryData) -> Figure:
        """Dots for trials, a step line for the best so far, crosses on the axis for failures."""
        figure = sheet()
        axes = figure.subplots()
        place = np.arange(1, len(data.value) + 1)
        axes.step(place, data.best, where="post", color=BLUE, label="best so far")
        for state, colour, marker in (("complete", GREY, "o"), ("pruned", ORANGE, "v")):
            chosen = (data.state == state) & np.isfinite(data.value)
            if chosen.any():
                axes.scatter(
                    place[chosen],
                    data.value[chosen],
                    s=14,
                    color=colour,
                    marker=marker,
                    label=state,
                    zorder=3,
                    linewidths=0,
                )
        failed = data.state == "failed"
        if failed.any():
            axes.scatter(place[failed], np.zeros(failed.sum()), s=18, color=RED, marker="x", label="failed", linewidths=1,
                         transform=axes.get_xaxis_transform(), clip_on=False, zorder=4)  # fmt: skip
        axes.set(
            xlabel="trials ended", ylabel=f"{short(data.measure)}, validation", xlim=(0.5, len(place) + 0.5)
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper right", ncols=4)
        return figure

    def caption(self, data: _HistoryData) -> str:
        """Counts of the states."""
        counts = ", ".join(
            f"{int((data.state == s).sum())} {s}"
            for s in ("complete", "pruned", "failed")
            if (data.state == s).any()
        )
        return f"Validation value ({long(data.measure)}) of each trial in the order in which they ended: {counts}."
