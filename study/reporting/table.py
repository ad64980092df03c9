"""A table as data: typed cells in named rows and columns, and notes. Its looks are decided in `rendering`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from study.evidence.decisions import Decision
from study.spec.wording import MISSING, number_text


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The stored predictions that a number comes from: with them it is explained and computed again.

    Attributes:
        trials: Keys of the trials; several (seeds, folds) are averaged.
        measure: Name of the measure in `scores`.
        head: Name of the head in `scores`; empty for the one that stands for the trial.
        setting: Setting of nearest neighbours, where it is not the one that validation chose.
        split: Split of the predictions.
        decision: At which thresholds labels are decided, where a sample may have several.
        label: The label whose own value it is; empty for the aggregate over the labels.
        group: Key of the group of patients that is looked at alone; empty for all patients.
        minus: Origin of the number that is subtracted, where this is a difference between two rows of ours.
        less: The published number that is subtracted, where this is a difference from a paper.
    """

    trials: tuple[str, ...]
    measure: str
    head: str = ""
    setting: str = ""
    split: str = "test"
    decision: Decision = "tuned"
    label: str = ""
    group: str = ""
    minus: "Origin | None" = None
    less: float = 0.0


@dataclass(frozen=True)
class Text:
    """Words.

    Attributes:
        text: The words.
        notes: Footnotes.
        quiet: Whether the words are printed pale, such as `not run`.
        chips: The parts of the words, where the page shows each in a box of its own.
    """

    text: str
    notes: tuple[str, ...] = ()
    quiet: bool = False
    chips: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The test of a number against that of a reference row.

    Attributes:
        against: Key of the reference row.
        test: Name of the test.
        p_value: Two-sided p-value of this comparison alone.
        adjusted: The p-value after Holm's correction.
        num_comparisons: Number of comparisons that it is corrected for.
    """

    against: str
    test: str
    p_value: float
    adjusted: float
    num_comparisons: int


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number of ours with its interval.

    Attributes:
        value: The number; NaN where there is none.
        low: Lower end of the 95 % interval; NaN where there is no interval.
        high: Upper end of the interval.
        spread: Standard deviation over seeds; NaN for one seed.
        digits: Places after the point.
        signed: Whether a positive number has a plus sign, as differences have.
        bold: Whether a test supports that the number is better than those that it is compared with.
        notes: Footnotes.
        origin: Where the number comes from; None for a count from the run's records.
        tested: The test of the number; None where it was compared with no other row.
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
    tested: Tested | None = None

    @property
    def text(self) -> str:
        """`0.832`, `−0.012`, or a dash where there is no number."""
        return number_text(self.value, self.digits, signed=self.signed)

    @property
    def interval(self) -> str:
        """`0.801 to 0.861`, or nothing."""
        if math.isnan(self.low) or math.isnan(self.high):
            return ""
        low, high = (number_text(end, self.digits, signed=self.signed) for end in (self.low, self.high))
        return f"{low} to {high}"

    @property
    def spread_text(self) -> str:
        """`± 0.012`, or nothing."""
        return "" if math.isnan(self.spread) else f"± {number_text(self.spread, self.digits)}"


def count(number: float) -> Value:
    """A whole number, such as a number of patients."""
    return Value(value=float(number), digits=0)


@dataclass(frozen=True)
class Published:
    """A number of a paper.

    Attributes:
        value: The number.
        derived: Whether the number follows from the paper's text and is not printed there.
        digits: Places after the point.
        notes: Footnotes.
    """

    value: float
    derived: bool = False
    digits: int = 3
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`0.832`, with ≈ before a derived number."""
        text = number_text(self.value, self.digits)
        return f"≈ {text}" if self.derived else text


@dataclass(frozen=True)
class VerdictCell:
    """What the comparison with a published number says.

    Attributes:
        outcome: The outcome.
        patients: With how many test patients one could tell; 0 where that is not known.
        notes: Footnotes.
    """

    outcome: Literal["reproduced", "not reproduced", "cannot tell"]
    patients: int = 0
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The outcome in words."""
        return f"{self.outcome} ({self.patients:,} patients could)" if self.patients else self.outcome


Cell = Text | Value | Published | VerdictCell
NOTHING = Text("")
NOT_RUN = Text("not run", quiet=True)
UNKNOWN = Text(MISSING, quiet=True)


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Name of the column in files and addresses.
        title: The heading.
        words: Whether the column holds words, which stand left; numbers stand right.
        help: Explanation of the heading.
    """

    key: str
    title: str
    words: bool = False
    help: str = ""


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        key: Name of the row in files and addresses.
        cells: One cell for each column.
        lead: Whether the row opens a group, with a rule above it; the other rows continue a group.
    """

    key: str
    cells: tuple[Cell, ...]
    lead: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns, rows, and what a reader must know to read them.

    Attributes:
        name: File name, and first part of an address `TABLE:ROW:COLUMN`.
        title: Heading without a final stop.
        columns: The columns.
        rows: The rows.
        caption: One or two sentences above the table.
        remarks: Sentences under the table.
        synthetic: Whether the numbers come from made-up images.
        sortable: Whether a reader of the page can sort and filter the rows.
        marks: Letter of each footnote.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    remarks: tuple[str, ...] = ()
    synthetic: bool = False
    sortable: bool = False
    marks: dict[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"`{self.name}:{row.key}`: must have {len(self.columns)} cells, got {len(row.cells)}."
                )
        notes = dict.fromkeys(note for _, _, cell in self.cells() for note in cell.notes)
        object.__setattr__(self, "marks", {note: letters(i) for i, note in enumerate(notes)})

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its row and column, in the order of reading."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def cell(self, row: str, column: str) -> Cell:
        """The cell at an address.

        Raises:
            KeyError: There is no such cell.
        """
        for r, c, cell in self.cells():
            if (r.key, c.key) == (row, column):
                return cell
        raise KeyError(f"{self.name}:{row}:{column}")


def letters(index: int) -> str:
    """The footnote mark of a place from 0 on: a, b, …, z, aa, ab, …"""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
