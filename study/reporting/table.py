"""A table as data: typed cells in named rows and columns, notes below. How it looks is decided in `rendering`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

MISSING = "–"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Origin:
    """Which stored predictions a number comes from, so that it can be explained and computed again.

    Attributes:
        trials: keys of the trials; several are averaged (seeds, folds).
        measure: name of the metric in `scores`.
        head: as in `scores`; empty for the one that the trial itself trained.
        label: a label's own value, or empty for the aggregate.
        setting: of nearest neighbours, where it is not the chosen one.
        minus: the other side, where the number is a difference from another row of ours.
        less: the published number, where the number is a difference from it.
    """

    trials: tuple[str, ...]
    measure: str
    head: str = ""
    setting: str = ""
    split: str = "test"
    decision: str = "half"
    label: str = ""
    minus: "Origin | None" = None
    less: float = 0.0


@dataclass(frozen=True)
class Text:
    """Words; `quiet` ones (not run, not known to us) step back."""

    text: str
    notes: tuple[str, ...] = ()
    quiet: bool = False


@dataclass(frozen=True)
class Value:
    """A measured number with its interval.

    Attributes:
        low, high: the 95 % interval, NaN where there is none.
        spread: standard deviation over seeds, NaN for one seed.
        digits: places after the point.
        signed: shows a plus sign, for differences.
        bold: earned by the table's bold rule.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    spread: float = math.nan
    digits: int = 3
    signed: bool = False
    bold: bool = False
    notes: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def text(self) -> str:
        """`0.832`, `−0.012`, or a dash where there is no number."""
        return number(self.value, self.digits, signed=self.signed)

    @property
    def interval(self) -> str:
        """`0.801 to 0.861`, or nothing."""
        if math.isnan(self.low) or math.isnan(self.high):
            return ""
        return f"{number(self.low, self.digits, signed=self.signed)} to {number(self.high, self.digits, signed=self.signed)}"

    @property
    def spread_text(self) -> str:
        """`± 0.012`, or nothing."""
        return "" if math.isnan(self.spread) else f"± {number(self.spread, self.digits)}"


@dataclass(frozen=True)
class Published:
    """A number that a paper prints, or that follows from its text (`derived`)."""

    value: float
    derived: bool = False
    digits: int = 3
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`0.832`, with ≈ where it is derived."""
        return f"≈ {number(self.value, self.digits)}" if self.derived else number(self.value, self.digits)


@dataclass(frozen=True)
class Verdict:
    """What the comparison with the published value says."""

    outcome: Literal["reproduced", "not reproduced", "cannot tell"]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The outcome in words."""
        return self.outcome


Cell = Text | Value | Published | Verdict
NOTHING = Text("")
NOT_RUN = Text("not run", quiet=True)
UNKNOWN = Text(MISSING, quiet=True)


@dataclass(frozen=True)
class Column:
    """A column; words stand left, numbers right. `help` explains the heading."""

    key: str
    title: str
    words: bool = False
    help: str = ""


@dataclass(frozen=True)
class Row:
    """A row under its key; `lead` rows open a group (a rule above), the others continue it."""

    key: str
    cells: tuple[Cell, ...]
    lead: bool = True


@dataclass(frozen=True)
class Table:
    """Columns, rows, and what a reader must know to read them.

    Attributes:
        name: file name and first part of an address `TABLE:ROW:COLUMN`.
        title: a heading without a final stop.
        caption: one or two sentences.
        remarks: sentences under the table, footnotes of cells excepted.
        synthetic: the numbers come from made-up images.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    remarks: tuple[str, ...] = ()
    synthetic: bool = False
    marks: dict[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"`{self.name}:{row.key}`: must have {len(self.columns)} cells, got {len(row.cells)}."
                )
        object.__setattr__(self, "marks", {note: letters(i) for i, note in enumerate(self._notes())})

    def _notes(self) -> list[str]:
        """Distinct footnotes in the order of reading."""
        return list(dict.fromkeys(note for _, _, cell in self.cells() for note in cell.notes))

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its row and column, in the order of reading."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def cell(self, row: str, column: str) -> Cell:
        """The cell at an address; KeyError where there is none."""
        for r, c, cell in self.cells():
            if (r.key, c.key) == (row, column):
                return cell
        raise KeyError(f"{self.name}:{row}:{column}")


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number with fixed places and a true minus sign; a dash for NaN."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def letters(index: int) -> str:
    """Footnote marks: a, b, …, z, aa, ab, …"""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
