"""How well each label is found: test average precision and AUC of the chosen trial, beside the class prior.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.reporting.figure import BLUE, GREEN, INK, sheet
from study.reporting.results import label_titles, measured
from study.reporting.run import Run
from study.reporting.table import Origin, Value

RIGHT_END = 1.25  # of the axis of shares, where the numbers stand


@dataclass(frozen=True, kw_only=True)
class _LabelsData:
    """What is drawn, by label.

    Attributes:
        key: Key of the trial.
        labels: Names of the labels.
        average_precision: Average precision on the test split, with the ends of its interval.
        auc: Area under the ROC curve on the test split, likewise.
        prevalence: Share of carriers in the test split.
    """

    key: str
    labels: tuple[str, ...]
    average_precision: Float[np.ndarray, "3 l"]
    auc: Float[np.ndarray, "3 l"]
    prevalence: Float[np.ndarray, " l"]


class Labels:
    """Bars for each label."""

    title = "Labels of the chosen trial"
    section = "chosen"

    def data(self, run: Run) -> _LabelsData | None:
        """None where the chosen trial has no test predictions."""
        found = run.chosen_predictions()
        if found is None:
            return None

        def of_labels(measure: str) -> Float[np.ndarray, "3 l"]:
            cells = [
                measured(run, Origin(trials=(found.trial,), measure=measure, label=label))
                for label in run.labels
            ]
            numbers = [(c.value, c.low, c.high) if isinstance(c, Value) else [np.nan] * 3 for c in cells]
            return np.array(numbers, dtype=float).T

        return _LabelsData(
            key=found.trial,
            labels=tuple(
                f"{title} ({int(carriers)})"
                for title, carriers in zip(label_titles(run), found.target.sum(axis=0), strict=True)
            ),
            average_precision=of_labels("average_precision"),
            auc=of_labels("auc"),
            prevalence=found.target.mean(axis=0),
        )

    def draw(self, data: _LabelsData) -> Figure:
        """Horizontal bars; the tick is what the class prior alone reaches."""
        figure = sheet(height=0.9 + 0.26 * len(data.labels))
        left, right = figure.subplots(1, 2, sharey=True)
        place = np.arange(len(data.labels))[::-1]
        left.set_title("Average precision")
        _draw_bars(left, place, data.average_precision, data.prevalence, BLUE)
        right.set_title("AUC")
        _draw_bars(right, place, data.auc, np.full(len(place), 0.5), GREEN)
        left.set_yticks(place, list(data.labels))
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right")
        return figure

    def caption(self, data: _LabelsData) -> str:
        """The trial and the meaning of the tick."""
        return (
            f"Test split, {data.key}, with 95 % intervals; in brackets the number of carriers, of whom few "
            "make an interval too narrow. The tick marks what the class prior alone reaches: the label's "
            "share, and an AUC of one half."
        )


def _draw_bars(axes: Axes, place: np.ndarray, value: np.ndarray, prior: np.ndarray, colour: str) -> None:
    middle, low, high = value
    axes.barh(place, np.nan_to_num(middle), height=0.62, color=colour, alpha=0.55)
    axes.hlines(place, low, high, color=INK, linewidth=1.0)
    tick: Any = {"marker": "|", "s": 110, "color": INK, "linewidths": 1.4, "zorder": 3}
    axes.scatter(prior, place, label="class prior", **tick)
    axes.set(xlim=(0, RIGHT_END), xticks=np.linspace(0, 1, 6))
    for y, number in zip(place, middle, strict=True):
        words = f"{number:.3f}" if np.isfinite(number) else "not defined"
        axes.text(RIGHT_END, y, words, va="center", ha="right", size=7.5)
    axes.tick_params(axis="y", length=0)
