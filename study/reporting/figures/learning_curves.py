"""Learning curves: loss of the best trial, and the objective of all trials by epoch.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import BLUE, ORANGE, PALE, RED, sheet
from study.reporting.measures import long, short
from study.reporting.run import Run

MOST = 200  # curves; more only make a grey area


@dataclass(frozen=True)
class _CurvesData:
    """Epochs of the best trial, and (epoch, value) of the others by state."""

    measure: str
    key: str
    best: pd.DataFrame
    best_epoch: int
    others: list[tuple[str, np.ndarray, np.ndarray]]
    num_left_out: int


class LearningCurves:
    """Learning curves."""

    title = "Learning curves"
    section = "search"

    def data(self, run: Run) -> _CurvesData | None:
        """None where no trial was trained."""
        key = run.best
        best = run.epochs[run.epochs["trial"] == key].sort_values("epoch")
        if key is None or best.empty:
            return None
        role = str(run.of_trial(key, "role"))
        keys = [str(k) for k in run.of_role(role).index if k != key]
        drawn = run.epochs[run.epochs["trial"].isin(keys[-MOST:])].sort_values("epoch")
        by_trial = {str(k): frame for k, frame in drawn.groupby("trial")}
        others = [
            (str(run.of_trial(k, "state")), f["epoch"].to_numpy(), f["value"].to_numpy(float))
            for k, f in by_trial.items()
        ]
        return _CurvesData(
            run.objective, key, best, int(run.of_trial(key, "best_epoch")), others, max(0, len(keys) - MOST)
        )

    def draw(self, data: _CurvesData) -> Figure:
        """Left the losses of the best trial, right the objective of all."""
        figure = sheet()
        left, right = figure.subplots(1, 2)
        epoch = data.best["epoch"]
        left.plot(epoch, data.best["train_loss"], color=ORANGE, label="training")
        left.plot(epoch, data.best["val_loss"], color=BLUE, label="validation")
        left.set(title="Loss of the chosen trial", xlabel="epoch", ylabel="loss")
        left.legend()
        for state, epochs, values in data.others:
            right.plot(
                epochs,
                values,
                color=PALE,
                linewidth=0.7,
                linestyle=(0, (2, 1)) if state == "pruned" else "solid",
            )
        right.plot(epoch, data.best["value"], color=BLUE)
        at = data.best[data.best["epoch"] == data.best_epoch]
        right.scatter(at["epoch"], at["value"], color=RED, s=18, zorder=3)
        right.set(title="Validation, all trials", xlabel="epoch", ylabel=short(data.measure))
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure

    def caption(self, data: _CurvesData) -> str:
        """Which trial is drawn and what the dot means."""
        left_out = f" The {data.num_left_out} earliest trials are not drawn." if data.num_left_out else ""
        return (
            f"Left: loss of {data.key}. Right: {long(data.measure)} on validation; {data.key} in blue with its best epoch "
            f"({data.best_epoch}) marked, other trials grey, pruned ones dashed.{left_out}"
        )
