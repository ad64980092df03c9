"""Sheets of labels (CSV, Parquet, Excel), read with errors that name the column and the row."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Int8
from pyarrow.lib import ArrowException

from study.spec.errors import DataError

MOST_BYTES = 2 * 10**9  # a million patients with a hundred columns are less
HEADER_ROWS = 2  # the first data row is the second line of a sheet


def read_sheet(path: Path, needed: Sequence[str], text: Sequence[str] = ()) -> pd.DataFrame:
    """The sheet's rows; cells of `text` columns stay text.

    Raises:
        DataError: the file is missing, is no such sheet, has no rows, or lacks needed columns (named, with the nearest there is).
    """
    if not path.is_file():
        raise DataError(f"`{path}`: must be a CSV, Parquet or Excel file, got no such file. Check the root.")
    types = dict.fromkeys(text, "str")
    try:
        match path.suffix.lower():
            case ".parquet":
                _require_modest(path, sum(g.total_byte_size for g in _row_groups(path)))
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
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        columns = [str(c) for c in frame.columns]
        free = [c for c in columns if c not in needed]
        hints = [
            f"`{m}`" + "".join(f" (did you mean `{c}`?)" for c in get_close_matches(m, free, n=1, cutoff=0.5))
            for m in missing
        ]
        raise DataError(
            f"`{path}`: must have these columns, which are missing: {', '.join(hints)}. There are: {', '.join(columns)}."
        )
    if frame.empty:
        raise DataError(f"`{path}`: must hold at least one row, got none.")
    return frame


def _row_groups(path: Path) -> list[Any]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(i) for i in range(metadata.num_row_groups)]


def _require_modest(path: Path, num_bytes: int) -> None:
    """A small file can unpack to more than the memory."""
    if num_bytes > MOST_BYTES:
        raise DataError(
            f"`{path}`: must unpack to at most {MOST_BYTES / 1e9:.0f} GB, got {num_bytes / 1e9:.1f} GB. Save it again as CSV."
        )


def binary_targets(frame: pd.DataFrame, columns: Sequence[str], where: Path) -> Int8[np.ndarray, "n l"]:
    """Label columns as 0 and 1; an empty cell is -1 (unknown).

    Raises:
        DataError: a cell is neither 0, 1 nor empty; names its row as the sheet counts it.
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
            f"`{where}` row {row + HEADER_ROWS}, column `{columns[column]}`: a label must be 0 or 1, "
            f"got {cells.iat[int(row), int(column)]!r}. Correct the cell."
        )
    return np.where(known, np.nan_to_num(values), -1).astype(np.int8)


def texts(frame: pd.DataFrame, column: str) -> list[str]:
    """A column as stripped text, whole numbers without a decimal point, empty cells as ``""``."""
    return [_text(v) for v in frame[column]]


def numbers(frame: pd.DataFrame, column: str) -> list[float]:
    """A column as numbers, NaN where a cell is none."""
    return pd.to_numeric(frame[column], errors="coerce").astype(float).tolist()


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
