"""Sheets of labels (CSV, Parquet, Excel), read with errors that name the column and the row."""

import csv
import re
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int8
from pandas.errors import ParserWarning
from pyarrow.lib import ArrowException

from study.spec.errors import DataError

MAX_BYTES = 2 * 10**9  # a million patients with a hundred columns are less
FIRST_ROW = 2  # number of the first row of data in a sheet, whose header is row 1
SEPARATORS = (",", ";", "\t", "|")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
OLD_EXCEL = b"\xd0\xcf\x11\xe0"  # first bytes of .xls, and of a workbook with a password
NOTHING = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", ".", "?", "unknown"})
"""Words for an empty cell where a number is wanted; in a column of text they are text (a class `None`)."""
AGE = re.compile(r"(\d+(?:[.,]\d*)?|[.,]\d+)\s*([DWMYdwmy]?)")
AGES_IN_A_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12, "Y": 1, "": 1}
"""How many of a unit of DICOM's age strings (`057Y`, `018M`) are a year."""


def read_sheet(path: Path, needed: Sequence[str], text: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a sheet, without those whose cells are all empty.

    The cells of CSV and Excel stay text, so that no word is taken for an empty cell, no `007` for a 7; blanks
    around them are taken off. The index counts the rows of the file from 0.

    Args:
        path: A CSV, Parquet or Excel file; a CSV may have commas, semicolons, tabs or bars between its cells,
            and is UTF-8, or UTF-16 with its mark.
        needed: Columns that the sheet must have.
        text: Columns whose cells become text where the file has types (Parquet).

    Raises:
        DataError: the file is missing, is no such sheet, has another encoding, has no rows or unpacks to too
            many bytes, a row has more cells than the header, or needed columns are missing; the message names
            them, each with the most similar column of the sheet.
    """
    if not path.is_file():
        raise DataError(f"`{path}`: must be a CSV, Parquet or Excel file, got no such file. Check the root.")
    try:
        frame = _read(path, needed, text)
    except UnicodeError:
        raise DataError(
            f"`{path}`: must be UTF-8, got bytes that are not. Save it as `CSV UTF-8`, or as .xlsx."
        ) from None
    except (ValueError, OSError, KeyError, csv.Error, BadZipFile, ArrowException, ParserWarning) as error:
        raise DataError(
            f"`{path}`: must be a readable {path.suffix or 'CSV'} sheet, got: {error}. Save it again."
        ) from None
    _require_columns(path, list(frame.columns), needed)
    frame = frame.dropna(how="all")
    if frame.empty:
        raise DataError(f"`{path}`: must hold at least one row, got none. Check the file.")
    return frame


def _read(path: Path, needed: Sequence[str], text: Sequence[str]) -> pd.DataFrame:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix.lower() == ".xls" or start == OLD_EXCEL:
        raise DataError(
            f"`{path}`: must be CSV, Parquet or .xlsx, got an old Excel file or one with a password. "
            "Save it as .xlsx without a password."
        )
    match path.suffix.lower():
        case ".parquet":
            _require_modest(path, _parquet_bytes(path))
            frame = pd.read_parquet(path).reset_index(drop=True)
            return frame.assign(**{name: texts(frame, name) for name in text if name in frame})
        case ".xlsx":
            with ZipFile(path) as archive:
                _require_modest(path, sum(part.file_size for part in archive.infolist()))
            frame = pd.read_excel(path, dtype=str, keep_default_na=False, na_values=[""])
        case _:
            encoding = "utf-16" if start[:2] in UTF16_MARKS else "utf-8-sig"
            frame = _read_csv(path, encoding, needed)
    frame.columns = frame.columns.astype(str).str.strip()
    stripped = frame.apply(lambda column: column.astype("str").str.strip())
    filled: pd.DataFrame = stripped.mask(stripped == "")
    return filled


def _read_csv(path: Path, encoding: str, needed: Sequence[str]) -> pd.DataFrame:
    """The cells as text; the separator is the one by which the first line has most of the needed columns."""
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()

    def num_found(separator: str) -> int:
        return len({name.strip() for name in next(csv.reader([first], delimiter=separator), [])} & {*needed})

    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)  # cells beyond the header would be cut off
        return pd.read_csv(
            path,
            sep=max(SEPARATORS, key=num_found),
            encoding=encoding,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
            index_col=False,
        )


def _require_columns(path: Path, columns: list[object], needed: Sequence[str]) -> None:
    others = [str(column) for column in columns if column not in needed]
    hints = []
    for name in needed:
        if name not in columns:
            nearest = get_close_matches(name, others, n=1, cutoff=0.5)
            hints.append(f"`{name}` (did you mean `{nearest[0]}`?)" if nearest else f"`{name}`")
    if hints:
        raise DataError(
            f"`{path}`: must have these columns, which are missing: {', '.join(hints)}. "
            f"There are: {', '.join(map(str, columns))}."
        )


def _parquet_bytes(path: Path) -> int:
    """Size of a Parquet file's data when it is unpacked."""
    metadata = pq.read_metadata(path)
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _require_modest(path: Path, num_bytes: int) -> None:
    """A small file can unpack to more than the memory holds."""
    if num_bytes > MAX_BYTES:
        raise DataError(
            f"`{path}`: must unpack to at most {MAX_BYTES / 1e9:.0f} GB, got {num_bytes / 1e9:.1f} GB. "
            "Save it again as CSV."
        )


def binary_targets(frame: pd.DataFrame, columns: Sequence[str], where: Path) -> Int8[np.ndarray, "n l"]:
    """Label columns as 0 and 1; an empty cell is -1 (unknown).

    Args:
        frame: The sheet's rows.
        columns: Its label columns.
        where: The sheet's file, for messages.

    Raises:
        DataError: a cell is neither 0 nor 1 nor empty; the message names its row as the sheet counts it.
    """
    if not columns:
        return np.zeros((len(frame), 0), dtype=np.int8)
    cells = frame[list(columns)]
    values = np.column_stack([_numbers(cells[name]) for name in columns])
    wrong = ~np.isnan(values) & ~np.isin(values, (0.0, 1.0)) | np.column_stack(
        [_is_other_word(cells[name]) for name in columns]
    )
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        raise DataError(
            f"`{where}` row {row_numbers(frame)[row]}, column `{columns[column]}`: a label must be 0 or 1, "
            f"got {cells.iat[row, column]!r}. Correct the cell."
        )
    return np.where(np.isnan(values), -1, values).astype(np.int8)


def row_numbers(frame: pd.DataFrame) -> list[int]:
    """The number of each row as a spreadsheet shows it."""
    return [int(place) + FIRST_ROW for place in frame.index]


def texts(frame: pd.DataFrame, column: str) -> list[str]:
    """A column as stripped text, whole numbers without a decimal point, empty cells as empty text."""
    return [_text(value) for value in frame[column]]


def ages(frame: pd.DataFrame, column: str) -> list[float]:
    """A column of ages in years, NaN where a cell is empty.

    Raises:
        DataError: a cell is neither a number nor an age as in DICOM (`057Y`, `018M`, `006W`, `010D`) nor a
            word for an empty cell.
    """
    years = []
    for row, cell in zip(row_numbers(frame), texts(frame, column), strict=True):
        found = AGE.fullmatch(cell)
        if not found and cell and cell.lower() not in NOTHING:
            raise DataError(
                f"`{column}` row {row}: an age must be a number of years, or as in DICOM (`057Y`, `018M`), "
                f"got {cell!r}. Correct the cell, or empty it."
            )
        years.append(_years(found) if found else np.nan)
    return years


def _years(found: re.Match[str]) -> float:
    return float(found[1].replace(",", ".")) / AGES_IN_A_YEAR[found[2].upper()]


def _numbers(cells: pd.Series) -> Float[np.ndarray, " n"]:
    """The cells as numbers, NaN where they are none; the words true and false are 1 and 0."""
    words = cells.map(lambda cell: str(cell).lower()).replace({"true": "1", "false": "0"})
    values: np.ndarray = pd.to_numeric(words, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return values


def _is_other_word(cells: pd.Series) -> Bool[np.ndarray, " n"]:
    """Where a cell holds something that is neither a number nor empty nor a word for it."""
    empty = cells.map(lambda cell: _text(cell).lower() in NOTHING | {""}).to_numpy(dtype=bool)
    other: Bool[np.ndarray, " n"] = np.isnan(_numbers(cells)) & ~empty
    return other


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
