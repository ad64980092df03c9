"""Confusion: what was true against what was called.

Source: the project's own.
Differs: nothing. Where a sample may have several labels, each label has its own counts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from study.reporting.deciding import decided, threshold_words
from study.reporting.figure import BLUE, INK, WIDTH, in_lines, sheet
from study.reporting.results import label_titles
from study.reporting.run import Run

SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", BLUE])
DARK_SHADE = 0.55  # share of a row above which the number is white
PANELS_PER_ROW = 4
LETTERS_OF_TITLE = 22  # in a line
LETTERS_PER_LINE = 11  # of the name of a class


@dataclass(frozen=True)
class _Matrix:
    """Counts of one panel.

    Attributes:
        title: Title of the panel.
        names: Names of the rows and columns.
        counts: Number of samples; rows are true, columns are called.
    """

    title: str
    names: tuple[str, ...]
    counts: Int[np.ndarray, "c c"]


@dataclass(frozen=True)
class _ConfusionData:
    """What is drawn.

    Attributes:
        key: Key of the trial.
        decided: At which thresholds samples are called; empty for classes and grades.
        panels: One matrix of the classes, or one matrix of no and yes for each label.
    """

    key: str
    decided: str
    panels: tuple[_Matrix, ...]


class Confusion:
    """Confusion matrices of the chosen trial on the test split."""

    title = "Confusion"
    section = "chosen"

    def data(self, run: Run) -> _ConfusionData | None:
        """None where the chosen trial has no test predictions."""
        judged = decided(run, run.best) if run.best else None
        if judged is None:
            return None
        key, called, true = judged.predictions.trial, judged.decision, judged.predictions.target > 0
        if run.kind != "multilabel":
            counts = true.T.astype(int) @ called.astype(int)
            return _ConfusionData(key, "", (_Matrix("", run.labels, counts),))
        panels = []
        for place, label in enumerate(label_titles(run)):
            t = np.stack([~true[:, place], true[:, place]]).astype(int)
            c = np.stack([~called[:, place], called[:, place]]).astype(int)
            panels.append(_Matrix(label, ("no", "yes"), t @ c.T))
        return _ConfusionData(key, threshold_words(run), tuple(panels))

    def draw(self, data: _ConfusionData) -> Figure:
        """Shade is the share of the row; numbers are counts."""
        if len(data.panels) == 1:
            figure = sheet(3.6, 3.3)
            panel = data.panels[0]
            matrix(figure.subplots(), panel.title, panel.names, panel.counts, first=True)
            return figure
        rows = -(-len(data.panels) // PANELS_PER_ROW)
        figure = sheet(WIDTH, 1.75 * rows)
        grid = list(figure.subplots(rows, PANELS_PER_ROW, squeeze=False).flat)
        for i, (axes, panel) in enumerate(zip(grid, data.panels, strict=False)):
            matrix(axes, panel.title, panel.names, panel.counts, first=i % PANELS_PER_ROW == 0)
        for axes in grid[len(data.panels) :]:
            axes.set_axis_off()
        return figure

    def caption(self, data: _ConfusionData) -> str:
        """The trial, and what a shade is."""
        how = data.decided and f", decided {data.decided}"
        return (
            f"Test split, {data.key}{how}. Rows are true, columns are called; the shade is the share of the "
            "row."
        )


def matrix(
    axes: Axes, title: str, names: tuple[str, ...], counts: Int[np.ndarray, "c c"], *, first: bool
) -> None:
    """Draws a confusion matrix.

    Args:
        axes: Where to draw.
        title: Title of the panel.
        names: Names of the rows and columns.
        counts: Number of samples; rows are true, columns are called.
        first: Whether the panel is the first of its row, which names the vertical axis.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edges = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(edges, edges, share, cmap=SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axes.invert_yaxis()
    for (row, column), number in np.ndenumerate(counts):
        colour = "white" if share[row, column] > DARK_SHADE else INK
        axes.text(column, row, f"{number:,}", ha="center", va="center", color=colour, size=8)
    shown = ["\n".join(in_lines(name, LETTERS_PER_LINE)) for name in names]
    axes.set_xticks(range(len(names)), shown)
    axes.set_yticks(range(len(names)), shown if first else [""] * len(names))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("\n".join(in_lines(title, LETTERS_OF_TITLE)), fontsize=8.5)
    if first:
        axes.set_ylabel("true")
    axes.set_xlabel("called")
