"""Importance of the searched parameters, beside a parameter that has no effect.

Source: Watanabe, Bansal & Hutter 2023, PED-ANOVA.
Differs: intervals from resampled trials, and a parameter without effect that shows how much importance is
noise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.evidence.statistics.importance import DUMMY, MIN_TRIALS, importance
from study.reporting.figure import BLUE, GREY, PALE, RED, sheet
from study.reporting.measures import full_name
from study.reporting.results import parameter_names
from study.reporting.run import Run


@dataclass(frozen=True)
class _ImportanceData:
    """What is drawn.

    Attributes:
        measure: The objective.
        rows: The frame of `importance`, with the names of the parameters.
        num_trials: Number of complete trials.
    """

    measure: str
    rows: pd.DataFrame
    num_trials: int


class Importance:
    """Bars with intervals."""

    title = "Importance of the parameters"
    section = "search"

    def data(self, run: Run) -> _ImportanceData | None:
        """None for fewer than ten complete trials or nothing searched."""
        complete = run.of_role("search", "complete")
        complete = complete[complete["value"].notna()]
        space = run.study["search_space"]
        if len(complete) < MIN_TRIALS or not space:
            return None
        rows = importance(
            list(complete["params"]), list(complete["value"]), space, greater_is_better=run.maximise
        )
        names = parameter_names(run)
        rows["name"] = [names.get(p, p) for p in rows["parameter"]]
        return _ImportanceData(run.objective, rows, len(complete)) if len(rows) else None

    def draw(self, data: _ImportanceData) -> Figure:
        """Greatest on top; what is not above noise is pale."""
        rows = data.rows.iloc[::-1].reset_index(drop=True)
        figure = sheet(height=0.8 + 0.24 * len(rows))
        axes = figure.subplots()
        colour = np.where(rows["above_noise"].astype(bool), BLUE, PALE)
        axes.barh(rows.index, rows["importance"], height=0.6, color=colour)
        axes.hlines(rows.index, rows["low"], rows["high"], color=GREY, linewidth=1.2)
        axes.axvline(float(rows["noise"].iloc[0]), color=RED, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.set_yticks(rows.index, list(rows["name"]))
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel="share of the variance in reaching the best trials", xlim=(0, None))
        return figure

    def caption(self, data: _ImportanceData) -> str:
        """What the line is and how many trials there were."""
        return (
            f"From {data.num_trials} complete trials ({full_name(data.measure)} on validation), with 95 % "
            f"intervals over resampled trials. Dashed: what “{DUMMY}”, a parameter without effect, reaches "
            "by chance; parameters in grey are not above it."
        )
