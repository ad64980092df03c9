"""`python -m study.report RUN --verify`: is a written report what the run's records give?

What it proves: every file of the report is what today's code makes of the records; every number with
predictions behind it follows from them; the main metrics follow from them in a second implementation, too;
all trials have the truth that the run was started with; and no record was changed, added or lost since it was
entered in the run's ledger.

What it does not prove: someone who can rewrite every file of a run, ledger and all, can make up a whole run
that agrees with itself. The seal in the table `provenance` is one digest of the ledger: where it was
published, such a run has another one. The check cannot see whether the images were what they are said to be,
whether a network was trained as recorded, or whether a study was run often and its best run kept. Numbers
without predictions (counts, settings, times) are compared with records that only the ledger vouches for.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from PIL import Image

from study.reporting.assembly import Report
from study.reporting.estimates import estimates_of
from study.reporting.record_checks import TOLERANCE, Difference
from study.reporting.table import Value
from study.spec.errors import StorageError

MOST_LINES = 20  # of one file that are named
MOST_LETTERS = 160  # of a line that is named
Written = Callable[[str], bytes]
_PICTURES = re.compile(
    r'<figure class="(?:face|patient \w+)">.*?</figure>\n|<div class="(?:faces|strip)">\n|</div>\n', re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What came out of a check of a written report.

    Attributes:
        num_compared: Numbers of tables that were compared with the written ones.
        num_from_predictions: Those of them that were computed from predictions once more.
        differences: What is not as it must be.
        unchecked: What could not be checked, in words.
    """

    num_compared: int
    num_from_predictions: int
    differences: tuple[Difference, ...]
    unchecked: tuple[str, ...] = ()


def verify(
    report: Report, fresh: Mapping[str, bytes], written: Written, names: Collection[str], *, pictures: bool
) -> Verified:
    """Compares every file of a written report with one that was made anew from the records.

    Args:
        report: The report, built anew.
        fresh: Its files.
        written: Gives the content of a file of the written report by its path; raises StorageError where the
            file is missing.
        names: Paths of all files in the folder of the written report.
        pictures: Whether `fresh` has the photographs of samples, which need the data set.
    """
    written("index.html")
    predicted = list(_from_predictions(report))
    differences = [difference for difference in predicted if difference is not None]
    num_compared = 0
    for name, content in fresh.items():
        if name.endswith(".csv"):
            num_compared += sum(map(_is_number, _fields(content).values()))
        differences += _file_differences(name, content, written, pictures=pictures)
    for name in sorted(set(names) - fresh.keys()):
        differences.append(
            Difference(name, "a file", "none: the report has no such file (name all runs of a comparison)")
        )
    unchecked = () if pictures else ("photographs of samples, since the data set cannot be read here",)
    return Verified(
        num_compared=num_compared,
        num_from_predictions=len(predicted),
        differences=tuple(differences),
        unchecked=unchecked,
    )


def _from_predictions(report: Report) -> Iterator[Difference | None]:
    """For each number with predictions behind it, how it differs from them; None where it agrees."""
    estimates = estimates_of(report.run)
    for _, table in report.tables:
        for row, column, cell in table.cells():
            if isinstance(cell, Value) and cell.origin and not math.isnan(cell.value):
                value = estimates.value(cell.origin)
                where = f"{table.name}:{row.key}:{column.key}"
                good = abs(value - cell.value) <= TOLERANCE
                yield None if good else Difference(where, repr(cell.value), f"{value!r} from the predictions")


def _file_differences(name: str, fresh: bytes, written: Written, *, pictures: bool) -> Iterator[Difference]:
    try:
        old = written(name)
    except StorageError:
        yield Difference(name, "missing", "a file of the report")
        return
    if old == fresh:
        return
    if name.endswith(".csv"):
        yield from _field_differences(name, old, fresh)
    elif name.endswith(".png"):
        if not _same_pixels(old, fresh):
            yield Difference(name, "another picture", "see the figure's SVG and its table")
    else:
        texts = [content.decode("utf-8", "replace") for content in (old, fresh)]
        yield from _line_differences(name, *(text if pictures else _PICTURES.sub("", text) for text in texts))


def _line_differences(name: str, old: str, fresh: str) -> Iterator[Difference]:
    """The lines that differ; only the first one where there are more or fewer lines."""
    pairs = zip_longest(old.splitlines(), fresh.splitlines(), fillvalue="")
    different = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    shifted = old.count("\n") != fresh.count("\n")
    for was, must in different[: 1 if shifted else MOST_LINES]:
        yield Difference(name, *_around(was, must))


def _around(was: str, must: str) -> tuple[str, str]:
    """Both lines from a little before the first letter that differs."""
    place = next(
        (i for i, (a, b) in enumerate(zip(was, must, strict=False)) if a != b), min(len(was), len(must))
    )
    start = max(0, place - MOST_LETTERS // 4)
    return was[start : start + MOST_LETTERS] or "nothing", must[start : start + MOST_LETTERS] or "nothing"


def _same_pixels(old: bytes, fresh: bytes) -> bool:
    try:
        pictures = [np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")) for content in (old, fresh)]
    except OSError:
        return False
    first, second = pictures
    return np.array_equal(first, second)


Fields = dict[tuple[str, str], str]


def _fields(content: bytes) -> Fields:
    """Every field of a CSV file by row and column; a row whose key stands there again has its number, too."""
    found: Fields = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(content.decode("utf-8", "replace")))):
        key = row.get("row") or str(number)
        key = f"{key} ({number})" if (key, "row") in found else key
        found |= {(key, column or "beyond"): str(value or "") for column, value in row.items()}
    return found


def _field_differences(name: str, old: bytes, fresh: bytes) -> Iterator[Difference]:
    table = name.removeprefix("tables/").removesuffix(".csv")
    were, are = _fields(old), _fields(fresh)
    for key in dict.fromkeys([*are, *were]):
        if not _same(were.get(key), are.get(key)):
            where = f"{table}:{':'.join(key)}"
            yield Difference(where, were.get(key, "missing"), are.get(key, "missing"))
    if list(were) != list(are):
        yield Difference(name, "other rows or columns", "see the table's Markdown")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _same(old: str | None, fresh: str | None) -> bool:
    if old is not None and fresh is not None and _is_number(old) and _is_number(fresh):
        return abs(float(old) - float(fresh)) <= TOLERANCE * max(1.0, abs(float(fresh)))
    return old == fresh
