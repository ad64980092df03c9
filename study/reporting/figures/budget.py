"""The best value so far against what it cost.

Source: Dodge et al. 2019, Show your work.
Differs: the cost is trials, minutes and, where there is a GPU, GPU hours.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.evidence.statistics.budgets import BudgetCurve, budget_curve
from study.reporting.figure import BLUE, GREY, sheet
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run


@dataclass(frozen=True)
class _BudgetData:
    """What is drawn.

    Attributes:
        measure: The objective.
        curves: One curve for each unit of cost.
    """

    measure: str
    curves: dict[str, BudgetCurve]


class Budget:
    """Best value so far against trials, minutes and GPU hours."""

    title = "Value for the budget"
    section = "search"

    def data(self, run: Run) -> _BudgetData | None:
        """None for fewer than three trials of the search, or fewer than two complete ones."""
        trials = run.of_role("search")
        if len(trials) < 3 or trials["value"][trials["state"] == "complete"].notna().sum() < 2:
            return None
        value = trials["value"].where(trials["state"] == "complete").to_numpy(float)
        curves = {}
        for unit, cost in costs(trials).items():
            if (cost > 0).all():
                curves[unit] = budget_curve(list(value), list(cost))
        return _BudgetData(run.objective, curves)

    def draw(self, data: _BudgetData) -> Figure:
        """One panel for each unit; the band is what random orders of the same trials give."""
        figure = sheet()
        panels = figure.subplots(1, len(data.curves), sharey=True, squeeze=False)[0]
        for axes, (unit, curve) in zip(panels, data.curves.items(), strict=True):
            band = {"color": GREY, "alpha": 0.2, "linewidth": 0, "step": "post"}
            axes.fill_between(curve.budget, curve.low, curve.high, label="95 % of random orders", **band)
            axes.step(curve.budget, curve.median, where="post", color=GREY, label="median of random orders")
            axes.step(curve.budget, curve.observed, where="post", color=BLUE, label="as it was run")
            axes.set(xlabel=unit, xlim=(0, curve.budget[-1]))
        panels[0].set_ylabel(f"{short_name(data.measure)}, validation")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
        return figure

    def caption(self, data: _BudgetData) -> str:
        """What blue above grey would mean."""
        return (
            f"Best validation value so far ({full_name(data.measure)}) against the budget; pruned and "
            "failed trials cost and give nothing. A search that learns from its trials runs above the "
            "median of random orders."
        )


def costs(trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """Cost of each trial in trials, in minutes, and in GPU hours where every trial had a GPU.

    A part of a GPU counts as that part.
    """
    hours = trials["seconds_total"].fillna(0).to_numpy(float) / 3600
    found = {"trials": np.ones(len(trials)), "minutes": 60 * hours}
    if len(trials) and (trials["device_kind"] == "cuda").all():
        found["GPU hours"] = hours * trials["num_devices"].to_numpy(float)
    return found
