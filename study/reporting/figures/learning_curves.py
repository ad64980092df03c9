"""Learning curves: loss of the chosen trial, and the objective of all trials by epoch.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import BLUE, ORANGE, PALE, RED, sheet
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run

MAX_CURVES = 200  # more of them only make a grey area


@dataclass(frozen=True)
class _Curve:
    """The objective of one trial.

    Attributes:
        state: State of the trial.
        epoch: The epochs.
        value: Validation value after each epoch.
    """

    state: str
    epoch: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _CurvesData:
    """What is drawn.

    Attributes:
        measure: The objective.
        key: Key of the chosen trial.
        best: Epochs of the chosen trial.
        best_epoch: Its best epoch.
        others: The other trials of its role.
        num_left_out: Number of trials that are not drawn.
    """

    measure: str
    key: str
    best: pd.DataFrame
    best_epoch: int
    others: list[_Curve]
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
        drawn = run.epochs[run.epochs["trial"].isin(keys[-MAX_CURVES:])].sort_values("epoch")
        others = [
            _Curve(
                str(run.of_trial(str(trial), "state")),
                epochs["epoch"].to_numpy(),
                epochs["value"].to_numpy(float),
            )
            for trial, epochs in drawn.groupby("trial")
        ]
        return _CurvesData(
            measure=run.objective,
            key=key,
            best=best,
            best_epoch=int(run.of_trial(key, "best_epoch")),
            others=others,
            num_left_out=max(0, len(keys) - MAX_CURVES),
        )

    def draw(self, data: _CurvesData) -> Figure:
        """Left the losses of the chosen trial, right the objective of all."""
        figure = sheet()
        left, right = figure.subplots(1, 2)
        epoch = data.best["epoch"]
        left.plot(epoch, data.best["train_loss"], color=ORANGE, label="training")
        left.plot(epoch, data.best["val_loss"], color=BLUE, label="validation")
        left.set(title="Loss of the chosen trial", xlabel="epoch", ylabel="loss")
        left.legend()
        for curve in data.others:
            style = (0, (2, 1)) if curve.state == "pruned" else "solid"
            name = "pruned trials" if curve.state == "pruned" else "other trials"
            right.plot(curve.epoch, curve.value, color=PALE, linewidth=0.7, linestyle=style, label=name)
        right.plot(epoch, data.best["value"], color=BLUE, label=data.key)
        marked = data.best[data.best["epoch"] == data.best_epoch]
        right.scatter(marked["epoch"], marked["value"], color=RED, s=18, zorder=3)
        right.set(
            title="Validation, all trials", xlabel="epoch", ylabel=f"{short_name(data.measure)}, validation"
        )
        handles, names = right.get_legend_handles_labels()
        once = dict(zip(names, handles, strict=True))
        right.legend(once.values(), once.keys())
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure

    def caption(self, data: _CurvesData) -> str:
        """Which trial is drawn and what the dot means."""
        left_out = f" The {data.num_left_out} earliest trials are not drawn." if data.num_left_out else ""
        return (
            f"Left: loss of {data.key}. Right: {full_name(data.measure)} on validation; {data.key} in blue "
            f"with its best epoch ({data.best_epoch}) marked, other trials grey, pruned ones "
            f"dashed.{left_out}"
        )
