"""Our numbers beside the published ones of every paper's table that the study ran.

Source: Cleveland & McGill 1984, Graphical perception (dot plots).
Differs: nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import BLUE, GREY, INK, PALE, WIDTH, sheet
from study.reporting.paper_groups import compared_table
from study.reporting.papers import published_tables
from study.reporting.run import Run
from study.reporting.table import Cell, Published, Table, Value

ROW = 0.2  # inches
ABOVE = 0.75  # inches of a table's titles and axis
NUM_NAMES = 2  # columns before those of the metrics
APART = 0.16  # rows between ours and the published number


@dataclass(frozen=True)
class _Dots:
    """A table that is drawn.

    Attributes:
        title: Paper and number of the table.
        rows: Names of its rows.
        metrics: For each column its heading, and of each row our cell and the published one.
    """

    title: str
    rows: tuple[str, ...]
    metrics: tuple[tuple[str, tuple[tuple[Cell, Cell], ...]], ...]


class PaperDots:
    """One panel for each column of a table."""

    title = "Ours and the published numbers"
    section = "papers"

    def data(self, run: Run) -> list[_Dots] | None:
        """None where no row of a paper was run."""
        found = []
        for paper in published_tables():
            table = compared_table(run, paper) if paper.form == "compared" else None
            dots = _dots_of(table, f"{paper.paper}, {paper.number}") if table else None
            if dots is not None:
                found.append(dots)
        return found or None

    def draw(self, data: list[_Dots]) -> Figure:
        """Filled: ours with its interval. Hollow: published."""
        heights = [ABOVE + ROW * len(dots.rows) for dots in data]
        figure = sheet(WIDTH, sum(heights))
        parts = figure.subfigures(len(data), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, dots in zip(parts, data, strict=True):
            part.suptitle(dots.title, x=0.01, ha="left", size=9, weight="bold")
            panels = part.subplots(1, len(dots.metrics), sharey=True, squeeze=False)[0]
            for axes, (name, cells) in zip(panels, dots.metrics, strict=True):
                _draw_metric(axes, name, cells)
            panels[0].set_yticks(range(len(dots.rows)), dots.rows)
            panels[0].set_ylim(len(dots.rows) - 0.4, -0.6)
        return figure

    def caption(self, data: list[_Dots]) -> str:
        """How to read a dot."""
        return (
            "Filled: ours on our test patients, with the 95 % interval. Hollow: published. The tables below "
            "have the numbers, the differences and what can be said of them."
        )


def _dots_of(table: Table, title: str) -> _Dots | None:
    """The table's rows with a number of ours; None without any."""
    by_key = {row.key: row for row in table.rows}
    shown = [row for row in table.rows if row.lead and any(isinstance(cell, Value) for cell in row.cells)]
    if not shown:
        return None
    metrics = []
    for place, column in enumerate(table.columns[NUM_NAMES:], start=NUM_NAMES):
        cells = []
        for row in shown:
            theirs = by_key.get(f"{row.key}.published", row)
            cells.append((row.cells[place], theirs.cells[place]))
        metrics.append((column.title, tuple(cells)))
    return _Dots(title, tuple(row.cells[0].text for row in shown), tuple(metrics))


def _draw_metric(axes: Axes, name: str, cells: tuple[tuple[Cell, Cell], ...]) -> None:
    axes.set_title(name, fontsize=8, weight="normal", loc="center")
    for y, (ours, theirs) in enumerate(cells):
        axes.axhline(y, color=PALE, linewidth=0.4, zorder=0)
        if isinstance(ours, Value) and np.isfinite(ours.value):
            axes.hlines(y - APART, ours.low, ours.high, color=BLUE, linewidth=1.2)
            axes.scatter(ours.value, y - APART, s=14, color=BLUE, zorder=3)
        if isinstance(theirs, Published):
            look: Any = {"s": 16, "facecolors": "white", "edgecolors": INK, "linewidths": 0.9, "zorder": 3}
            axes.scatter(theirs.value, y + APART, **look)
    axes.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines["bottom"].set_color(GREY)
    axes.spines["left"].set_visible(False)
