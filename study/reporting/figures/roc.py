"""ROC curves of the chosen trial, one a label.

Source: Fawcett 2006, An introduction to ROC analysis.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.evidence.statistics.operating import roc_points
from study.reporting.figure import BLUE, PALE, WIDTH, sheet
from study.reporting.run import Run

COLUMNS = 4


@dataclass(frozen=True)
class _RocData:
    """False-positive rate, sensitivity and AUC by label."""

    key: str
    curves: tuple[tuple[str, np.ndarray, np.ndarray, float], ...]


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
        for j, label in enumerate(run.labels):
            if 0 < (found.target[:, j] > 0).sum() < len(found.target):
                _, sensitivity, specificity = roc_points(found.target[:, j], found.score[:, j])
                curves.append(
                    (label, 1 - specificity, sensitivity, run.score(found.trial, "auc", label=label))
                )
        return _RocData(found.trial, tuple(curves)) if curves else None

    def draw(self, data: _RocData) -> Figure:
        """Small multiples with the diagonal of chance."""
        columns = min(COLUMNS, len(data.curves))
        rows = -(-len(data.curves) // columns)
        figure = sheet(WIDTH * columns / COLUMNS, 1.75 * rows + 0.2)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for i, axes in enumerate(grid.flat):
            if i >= len(data.curves):
                axes.set_axis_off()
                continue
            label, false_positive, sensitivity, auc = data.curves[i]
            axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
            axes.plot(false_positive, sensitivity, color=BLUE)
            axes.set(title=label, xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.text(0.97, 0.06, f"AUC {auc:.3f}", ha="right", size=7.5)
        figure.supxlabel("1 − specificity", fontsize=8.5)
        figure.supylabel("sensitivity", fontsize=8.5)
        return figure

    def caption(self, data: _RocData) -> str:
        """The trial."""
        return f"Test split, {data.key}; the diagonal is chance."
