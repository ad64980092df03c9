"""ROC curves of the chosen trial, one for each label.

Source: Fawcett 2006, An introduction to ROC analysis.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.evidence.statistics.operating import roc_points
from study.reporting.figure import BLUE, PALE, WIDTH, in_lines, sheet
from study.reporting.results import label_titles
from study.reporting.run import Run

PANELS_PER_ROW = 4
LETTERS_PER_LINE = 22  # of a label's name


@dataclass(frozen=True)
class _Curve:
    """The ROC curve of a label.

    Attributes:
        label: Name of the label.
        false_positive: False-positive rate.
        sensitivity: Sensitivity at that rate.
        auc: Area under the curve, as stored.
    """

    label: str
    false_positive: Float[np.ndarray, " p"]
    sensitivity: Float[np.ndarray, " p"]
    auc: float


@dataclass(frozen=True)
class _RocData:
    """What is drawn.

    Attributes:
        key: Key of the trial.
        curves: The curves of the labels.
    """

    key: str
    curves: tuple[_Curve, ...]


class Roc:
    """ROC curves."""

    title = "ROC curves"
    section = "chosen"

    def data(self, run: Run) -> _RocData | None:
        """None where the chosen trial has no test predictions, or no label has both carriers and others."""
        found = run.chosen_predictions()
        if found is None:
            return None
        curves = []
        for place, (label, title) in enumerate(zip(run.labels, label_titles(run), strict=True)):
            target = found.target[:, place]
            if 0 < (target > 0).sum() < len(target):
                _, sensitivity, specificity = roc_points(target, found.score[:, place])
                auc = run.score(found.trial, "auc", label=label)
                curves.append(_Curve(title, 1 - specificity, sensitivity, auc))
        return _RocData(found.trial, tuple(curves)) if curves else None

    def draw(self, data: _RocData) -> Figure:
        """Small multiples with the diagonal of chance."""
        columns = min(PANELS_PER_ROW, len(data.curves))
        rows = -(-len(data.curves) // columns)
        figure = sheet(WIDTH * columns / PANELS_PER_ROW, 1.75 * rows + 0.2)
        grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
        for axes, curve in zip(grid, data.curves, strict=False):
            _draw_curve(axes, curve)
        for axes in grid[len(data.curves) :]:
            axes.set_axis_off()
        figure.supxlabel("1 − specificity", fontsize=8.5)
        figure.supylabel("sensitivity", fontsize=8.5)
        return figure

    def caption(self, data: _RocData) -> str:
        """The trial."""
        return f"Test split, {data.key}; the diagonal is chance."


def _draw_curve(axes: Axes, curve: _Curve) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
    axes.plot(curve.false_positive, curve.sensitivity, color=BLUE, clip_on=False, zorder=4)
    ends = (-0.03, 1.03)  # so that a curve along the border is seen
    axes.set(xlim=ends, ylim=ends, xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_title("\n".join(in_lines(curve.label, LETTERS_PER_LINE)), fontsize=8)
    axes.text(0.97, 0.06, f"AUC {curve.auc:.3f}", ha="right", size=7.5)
