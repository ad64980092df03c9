"""Sheets of labels (CSV, Parquet, Excel), read with errors that name the column and the row."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Int8
from pyarrow.lib import ArrowException

from study.spec.errors import DataError

MAX_BYTES = 2 * 10**9  # a million patients with a hundred columns are less
FIRST_ROW = 2  # number of the first row of data in a sheet, whose header is row 1


def read_sheet(path: Path, needed: Sequence[str], text: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a sheet.

    Args:
        path: A CSV, Parquet or Excel file.
        needed: Columns that the sheet must have.
        text: Columns whose cells stay text.

    Raises:
        DataError: the file is missing, is no such sheet, has no rows or unpacks to too many bytes, or needed
            columns are missing; the message names them, each with the most similar column of the sheet.
    """
    if not path.is_file():
        raise DataError(f"`{path}`: must be a CSV, Parquet or Excel file, got no such file. Check the root.")
    types = dict.fromkeys(text, "str")
    try:
        match path.suffix.lower():
            case ".parquet":
                _require_modest(path, _parquet_bytes(path))
                frame = pd.read_parquet(path)
            case ".xlsx":
                with ZipFile(path) as archive:
                    _require_modest(path, sum(part.file_size for part in archive.infolist()))
                frame = pd.read_excel(path, dtype=types)
            case _:
                frame = pd.read_csv(path, dtype=types)
    except (ValueError, OSError, KeyError, BadZipFile, ArrowException) as error:
        raise DataError(
            f"`{path}`: must be a readable {path.suffix or 'CSV'} sheet, got: {error}. Save it again."
        ) from None
    _require_columns(path, list(frame.columns), needed)
    if frame.empty:
        raise DataError(f"`{path}`: must hold at least one row, got none. Check the file.")
    return frame


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
    values = np.column_stack(
        [pd.to_numeric(cells[c], errors="coerce").to_numpy(dtype=float, na_value=np.nan) for c in columns]
    )
    known = cells.notna().to_numpy()
    wrong = known & ~np.isin(values, (0.0, 1.0))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"`{where}` row {row + FIRST_ROW}, column `{columns[column]}`: a label must be 0 or 1, "
            f"got {cells.iat[int(row), int(column)]!r}. Correct the cell."
        )
    return np.where(known, np.nan_to_num(values), -1).astype(np.int8)


def texts(frame: pd.DataFrame, column: str) -> list[str]:
    """A column as stripped text, whole numbers without a decimal point, empty cells as empty text."""
    return [_text(value) for value in frame[column]]


def numbers(frame: pd.DataFrame, column: str) -> list[float]:
    """A column as numbers, NaN where a cell is no number."""
    return pd.to_numeric(frame[column], errors="coerce").astype(float).tolist()


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
