"""A contact sheet of similar cases: each query, then its nearest training samples with label and distance."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from study.evidence.case_pictures import Pictures
from study.evidence.similar import SimilarCases, carried
from study.reporting.figure import GREEN, GREY, INK, PALE, PNG_DPI, RED, drawn, style
from study.reporting.overlays import GAP, Canvas

IN_A_LINE = 5  # neighbours beside each other; more go on below
MOST_LINES = 20  # of a sheet, whose file then has some six megabytes
MOST_NEIGHBOURS = 50  # of a query on a sheet
PAIR_SIZE, SINGLE_SIZE = 0.66, 0.9  # inches of a photograph
LINE_HEIGHT, HEADING_HEIGHT = 0.135, 0.24  # inches
LETTERS_PER_INCH = 17  # of the small print, at least


@dataclass(frozen=True, eq=False, kw_only=True)
class Sheet:
    """What stands on a sheet.

    Attributes:
        cases: The queries and their neighbours.
        labels: Names of the labels.
        of_queries: Photographs of the queries.
        of_known: Photographs of the training samples.
    """

    cases: SimilarCases
    labels: Sequence[str]
    of_queries: Pictures
    of_known: Pictures

    @property
    def num_views(self) -> int:
        """Photographs of a sample; 0 where there are none at all."""
        views = [*self.of_queries.values(), *self.of_known.values()]
        return max(map(len, views), default=0)


def fitting(cases: SimilarCases) -> SimilarCases:
    """The first queries with as many of their first neighbours as go on one sheet."""
    k = min(cases.index.shape[1], MOST_NEIGHBOURS)
    num_queries = min(len(cases.index), MOST_LINES // _lines_of(k))
    return cases.of(range(num_queries), k)


def sheet_png(sheet: Sheet, *, synthetic: bool) -> bytes:
    """The sheet as a picture file, stamped where any of its photographs is drawn."""
    with style():
        title = "Similar cases"
        figure = contact_sheet(sheet)
        return drawn(figure, name="similar", section="", title=title, caption="", synthetic=synthetic).png


def contact_sheet(sheet: Sheet) -> Figure:
    """One block of rows for each query: the query at the left, its neighbours beside it."""
    size = PAIR_SIZE if sheet.num_views == 2 else SINGLE_SIZE
    cell = max(sheet.num_views, 1) * (size + GAP) + 0.14
    photo_height = size if sheet.num_views else 0.0
    line = photo_height + 4 * LINE_HEIGHT + 0.16
    num_queries, k = sheet.cases.index.shape
    block = HEADING_HEIGHT + _lines_of(k) * line + 0.1
    canvas = Canvas((IN_A_LINE + 1) * cell + 0.1, num_queries * block)
    pen = _Pen(canvas, sheet, size, photo_height, cell)
    for query in range(num_queries):
        y = query * block
        pen.heading(query, y + 0.15)
        pen.query(query, y + HEADING_HEIGHT)
        for rank in range(k):
            if sheet.cases.found[query, rank]:
                down, across = divmod(rank, IN_A_LINE)
                pen.neighbour(query, rank, (across + 1) * cell + 0.1, y + HEADING_HEIGHT + down * line)
    return canvas.figure


def _lines_of(k: int) -> int:
    """Lines that k neighbours take."""
    return -(-k // IN_A_LINE)


@dataclass(frozen=True, eq=False)
class _Pen:
    """Draws the parts of a sheet.

    Attributes:
        canvas: Where it draws.
        sheet: What it draws.
        size: Side of a photograph in inches.
        photo_height: The same, or 0 where there are no photographs.
        cell: Width of a sample in inches.
    """

    canvas: Canvas
    sheet: Sheet
    size: float
    photo_height: float
    cell: float

    def heading(self, query: int, y: float) -> None:
        """The query's name, and how many of its neighbours are like it."""
        cases = self.sheet.cases
        words = cases.queries.sample[query]
        if cases.known_truth[query]:
            words += f": {cases.same[query].sum()} of {cases.found[query].sum()} have the same label"
        self.canvas.text(0, y, words, bold=True)

    def query(self, query: int, y: float) -> None:
        """The query itself."""
        cases = self.sheet.cases
        self._photos(self.sheet.of_queries.get(cases.queries.sample[query]), 0, y)
        words = "label unknown"
        if cases.known_truth[query]:
            words = self._carried(cases.queries.target[query])
        self._lines(0, y, [("the query", INK), (words, INK)])

    def neighbour(self, query: int, rank: int, x: float, y: float) -> None:
        """A training sample: its rank and whether it is like the query, its label, distance and name."""
        cases = self.sheet.cases
        row = cases.index[query, rank]
        self._photos(self.sheet.of_known.get(cases.known.sample[row]), x, y)
        mark, colour = f"{rank + 1}", INK
        if cases.known_truth[query]:
            same = bool(cases.same[query, rank])
            mark, colour = f"{rank + 1}  {'same' if same else 'differs'}", GREEN if same else RED
        lines = [
            (mark, colour),
            (self._carried(cases.known.target[row]), INK),
            (f"distance {cases.distance[query, rank]:.3f}", GREY),
            (cases.known.sample[row], GREY),
        ]
        self._lines(x, y, lines)

    def _carried(self, target: np.ndarray) -> str:
        return ", ".join(carried(target, self.sheet.labels)) or "nothing"

    def _photos(self, views: Sequence[bytes] | None, x: float, y: float) -> None:
        """The photographs of a sample, or an empty frame in their place."""
        if not self.photo_height:
            return
        if views is None:
            width = self.cell - 0.14 - GAP
            frame = ([x, x + width, x + width, x, x], [y, y, y + self.size, y + self.size, y])
            self.canvas.axes.plot(*frame, color=PALE, linewidth=0.6)
            self.canvas.text(x + 0.06, y + self.size / 2, "no picture", size=6.5, colour=GREY)
            return
        for view, jpeg in enumerate(views):
            pixels = _pixels(jpeg, round(self.size * PNG_DPI))
            self.canvas.picture(x + view * (self.size + GAP), y, pixels, self.size)

    def _lines(self, x: float, y: float, lines: Sequence[tuple[str, str]]) -> None:
        """Small print below the photographs, the first line bold."""
        most = int((self.cell - 0.06) * LETTERS_PER_INCH)
        for i, (words, colour) in enumerate(lines):
            shown = words if len(words) <= most else f"{words[: most - 1]}…"
            place = y + self.photo_height + LINE_HEIGHT * (i + 1)
            self.canvas.text(x, place, shown, size=6.5, colour=colour, bold=i == 0)


def _pixels(jpeg: bytes, px: int) -> UInt8[np.ndarray, "px px 3"]:
    photo = Image.open(io.BytesIO(jpeg)).convert("RGB")
    return np.asarray(photo.resize((px, px), Image.Resampling.BICUBIC))
