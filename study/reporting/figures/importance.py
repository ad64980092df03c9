"""Importance of the searched parameters, beside a parameter that has no effect, and of K, distance and vote.

Source: Watanabe, Bansal & Hutter 2023, PED-ANOVA; analysis of variance for what every trial tries.
Differs: intervals from resampled trials, and a parameter without effect that shows how much importance is
noise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.evidence.statistics.importance import DUMMY
from study.evidence.statistics.settings import TRIALS
from study.reporting.figure import BLUE, GREY, PALE, RED, WIDTH, sheet
from study.reporting.importances import neighbour_importance, searched_importance
from study.reporting.measures import full_name
from study.reporting.neighbour_settings import NAMES
from study.reporting.results import parameter_names
from study.reporting.run import Run


@dataclass(frozen=True, kw_only=True)
class _ImportanceData:
    """What is drawn.

    Attributes:
        measure: The objective.
        rows: The frame of `importance`, with the names of the parameters; it may have no rows.
        num_trials: Number of complete trials.
        neighbour_measure: The measure of nearest neighbours.
        neighbours: The frame of `setting_importance`, with the names of the parameters; it may have no rows.
    """

    measure: str
    rows: pd.DataFrame
    num_trials: int
    neighbour_measure: str
    neighbours: pd.DataFrame


class Importance:
    """Bars with intervals."""

    title = "Importance of the parameters"
    section = "mattered"

    def data(self, run: Run) -> _ImportanceData | None:
        """None for fewer than ten complete trials, or with nothing searched and no nearest neighbours."""
        names = {**parameter_names(run), **NAMES, TRIALS: "all that differs between trials"}
        found = []
        for rows in (searched_importance(run), neighbour_importance(run)):
            found.append(rows.assign(name=[names.get(p, p) for p in rows["parameter"]]))
        if all(rows.empty for rows in found):
            return None
        return _ImportanceData(
            measure=run.objective,
            rows=found[0],
            num_trials=int(run.of_role("search", "complete")["value"].notna().sum()),
            neighbour_measure=run.head_measure,
            neighbours=found[1],
        )

    def draw(self, data: _ImportanceData) -> Figure:
        """Greatest on top; what is not above noise is pale. Neighbours have a scale of their own."""
        parts = {
            "share of the variance in reaching the best trials": data.rows,
            "share of the variance of nearest neighbours over trials and settings": data.neighbours,
        }
        parts = {title: rows for title, rows in parts.items() if len(rows)}
        heights = [len(rows) + 2.5 for rows in parts.values()]
        figure = sheet(WIDTH, 0.24 * sum(heights))
        grid = figure.subplots(len(parts), squeeze=False, height_ratios=heights)
        for axes, (title, rows) in zip(grid.flat, parts.items(), strict=True):
            _draw_bars(axes, rows.iloc[::-1].reset_index(drop=True))
            axes.set(xlabel=title, xlim=(0, None))
        return figure

    def caption(self, data: _ImportanceData) -> str:
        """What the lines are, how many trials there were, and what a share of neighbours is."""
        parts = [f"From {data.num_trials} complete trials, with 95 % intervals over resampled trials."]
        if len(data.rows):
            parts.append(
                f"Searched parameters by {full_name(data.measure)} on validation; dashed: what a parameter "
                f"reaches in 95 % of the cases when its values are shuffled. “{DUMMY}” has no effect."
            )
        if len(data.neighbours):
            parts.append(
                "K, distance and vote of nearest neighbours were tried on every trial. Of the variance of "
                f"their {full_name(data.neighbour_measure)} on validation, their bars are the part between "
                "options inside of a trial, and one bar is the part between trials; dashed: what settings "
                "reach that are shuffled inside of each trial."
            )
        return " ".join([*parts, "Parameters in grey are not above chance."])


def _draw_bars(axes: Axes, rows: pd.DataFrame) -> None:
    """The bars with their intervals, and a dashed line in each at what chance reaches."""
    colour = np.where(rows["above_noise"].astype(bool), BLUE, PALE)
    axes.barh(rows.index, rows["importance"], height=0.6, color=colour)
    axes.hlines(rows.index, rows["low"], rows["high"], color=GREY, linewidth=1.2)
    noise = rows["noise"].to_numpy(float)
    axes.vlines(noise, rows.index - 0.5, rows.index + 0.5, color=RED, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set_yticks(rows.index, list(rows["name"]))
    axes.tick_params(axis="y", length=0)
