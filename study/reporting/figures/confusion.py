"""Confusion: what was true against what was called.

Source: as in SVK_MA (Tan, Dong & Li 2023), which shows one for each network.
Differs: for many labels a sample, each label has its own counts.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from study.evidence.score import decisions_of
from study.reporting.figure import BLUE, WIDTH, sheet
from study.reporting.run import Run

SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", BLUE])


@dataclass(frozen=True)
class _ConfusionData:
    """Counts true × called; one matrix with the class names, or one two-by-two matrix a label."""

    key: str
    panels: tuple[tuple[str, tuple[str, ...], np.ndarray], ...]


class Confusion:
    """Confusion matrices of the chosen trial on the test split."""

    title = "Confusion"
    section = "chosen"

    def data(self, run: Run) -> _ConfusionData | None:
        """None where the chosen trial has no test predictions."""
        found = run.chosen_predictions()
        if found is None:
            return None
        decision, true = decisions_of(found, run.kind)[run.decision_rule("half")], found.target > 0
        if run.kind != "multilabel":
            counts = true.T.astype(int) @ decision.astype(int)
            return _ConfusionData(found.trial, (("", run.labels, counts),))
        panels = []
        for j, label in enumerate(run.labels):
            t, d = true[:, j], decision[:, j]
            panels.append(
                (
                    label,
                    ("no", "yes"),
                    np.array([[(~t & ~d).sum(), (~t & d).sum()], [(t & ~d).sum(), (t & d).sum()]]),
                )
            )
        return _ConfusionData(found.trial, tuple(panels))

    def draw(self, data: _ConfusionData) -> Figure:
        """Shade is the share of the row; numbers are counts."""
        if len(data.panels) == 1:
            figure = sheet(3.6, 3.3)
            matrix(figure.subplots(), *data.panels[0], first=True)
            return figure
        columns = 4
        rows = -(-len(data.panels) // columns)
        figure = sheet(WIDTH, 1.75 * rows)
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for i, axes in enumerate(grid):
            if i < len(data.panels):
                matrix(axes, *data.panels[i], first=i % columns == 0)
            else:
                axes.set_axis_off()
        return figure

    def caption(self, data: _ConfusionData) -> str:
        """The trial, and what a shade is."""
        return f"Test split, {data.key}, plain decisions. Rows are true, columns are called; the shade is the share of the row."


def matrix(axes: Axes, title: str, names: tuple[str, ...], counts: np.ndarray, *, first: bool) -> None:
    """Draws counts true × called; `first` in its row names the axis."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edges = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(edges, edges, share, cmap=SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axes.invert_yaxis()
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{count:,}",
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.55 else "#222222",
            size=8,
        )
    axes.set_xticks(range(len(names)), list(names))
    axes.set_yticks(range(len(names)), list(names))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    if first:
        axes.set_ylabel("true")
    axes.set_xlabel("called")
