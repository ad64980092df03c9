"""Strips of heat maps: a sample's photograph, then one small map after another, one row an eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from study.reporting.figure import GREY
from study.reporting.overlays import GAP, Paper, Shelf, heat_over

SMALL = 0.62  # inches
LINE = 0.12
FEW = 4  # samples


@dataclass(frozen=True, eq=False)
class Cell:
    """One map of both eyes.

    Attributes:
        title: what it is of.
        words: a number to it.
        heat: the map of each eye that has one.
        bold: whether the words stand out.
        from_zero: heat starts at 0, else at the least value of both eyes.
    """

    title: str
    words: str
    heat: Mapping[int, Float[np.ndarray, "h w"]]
    bold: bool = False
    from_zero: bool = True


@dataclass(frozen=True, eq=False)
class Strip:
    """A sample as a trial sees it; `title` stands before the sample's name."""

    trial: str
    sample: str
    title: str
    cells: Sequence[Cell]


def few(shelf: Shelf) -> list[str]:
    """Up to four samples, as many wrong ones as right ones where there are both."""
    right = [sample for sample in shelf.right_first() if shelf.is_right(shelf.maps.trials[0], sample)]
    wrong = [sample for sample in shelf.right_first() if sample not in right]
    num_wrong = min(len(wrong), max(FEW // 2, FEW - len(right)))
    return [*right[: FEW - num_wrong], *wrong[:num_wrong]]


def strips(shelf: Shelf, rows: Sequence[Strip]) -> Figure:
    """The strips below each other."""
    titles = [[wrap(cell.title, 12) for cell in row.cells] for row in rows]
    tall = max((len(lines) for of_row in titles for lines in of_row), default=1)
    head = 0.2 + LINE * (tall + 1) + 0.04
    step = head + shelf.num_views * (SMALL + GAP) + 0.16
    columns = max(len(row.cells) for row in rows) + 1
    paper = Paper(max(columns * (SMALL + GAP) + 0.1, 3.4), step * len(rows))
    for place, row in enumerate(rows):
        y = place * step
        paper.verdict(0, y + 0.14, shelf.is_right(row.trial, row.sample))
        paper.text(0.42, y + 0.14, f"{row.title}{row.sample}: {shelf.heading(row.sample, row.trial)}")
        photos = shelf.photos(row.trial, row.sample)
        for view, photo in enumerate(photos):
            paper.picture(0, y + head + view * (SMALL + GAP), photo, SMALL)
        for column, (cell, lines) in enumerate(zip(row.cells, titles[place], strict=True), start=1):
            x = column * (SMALL + GAP) + 0.1
            for i, line in enumerate(lines):
                paper.text(x, y + 0.2 + LINE * (tall - len(lines) + i + 1), line, size=6.5)
            paper.text(
                x,
                y + head - 0.04,
                cell.words,
                size=6.5,
                bold=cell.bold,
                colour="#222222" if cell.bold else GREY,
            )
            low = 0.0 if cell.from_zero else min(float(m.min()) for m in cell.heat.values())
            high = max(float(m.max()) for m in cell.heat.values())
            for view, heat in cell.heat.items():
                paper.picture(
                    x, y + head + view * (SMALL + GAP), heat_over(photos[view], heat, high, low), SMALL
                )
    return paper.figure
