"""Reads one Parquet file of one trial, and refuses it when it is not what it should be."""

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

Filters = Mapping[str, str | int | bool | Collection[str | int]]
"""By column, the value that a row must have, or several values of which it must have one."""


class UnusableFileError(Exception):
    """A file of a run cannot be used; the message says what is wrong with it."""


def read_trial_file(
    filesystem: fs.FileSystem, path: str, schema: pa.Schema, columns: list[str], key: str
) -> pa.Table:
    """The columns of a trial's table, if the file is whole, has the schema and belongs to the trial.

    Args:
        filesystem: Storage that holds the file.
        path: Path of the file.
        schema: Schema of the table.
        columns: Columns to read.
        key: Key of the trial.

    Raises:
        UnusableFileError: The file is missing or damaged, has other columns or types, or holds rows of
            another trial.
    """
    try:
        with pq.ParquetFile(filesystem.open_input_file(path)) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise UnusableFileError("has other columns than the schema")
            if not _belongs_to(key, file.metadata, found.get_field_index("trial")):
                raise UnusableFileError(f"holds rows of another trial than `{key}`")
            table: pa.Table = file.read(columns=columns, use_threads=False)
            return table.select(columns)
    except FileNotFoundError:
        raise UnusableFileError("is missing") from None
    except (OSError, pa.ArrowException) as error:
        raise UnusableFileError(f"cannot be read ({error})") from None


def _belongs_to(key: str, metadata: pq.FileMetaData, column: int) -> bool:
    """Whether every row has the key in the column, by the file's statistics.

    No list may stand before the column: statistics count the columns of a list by themselves.
    """
    if metadata.num_rows == 0:
        return True
    groups = (metadata.row_group(i).column(column).statistics for i in range(metadata.num_row_groups))
    return all(s is not None and s.has_min_max and s.min == s.max == key for s in groups)


def filtered(table: pa.Table, filters: Filters) -> pa.Table:
    """The rows that have, in each column of the filters, the value or one of the values."""
    for column, wanted in filters.items():
        values = [wanted] if isinstance(wanted, str | int) else list(wanted)
        allowed = pc.SetLookupOptions(pa.array(values, table.schema.field(column).type))
        table = table.filter(pc.call_function("is_in", [table[column]], allowed))
    return table


def require_rows_of(key: str, tables: Mapping[str, pa.Table]) -> None:
    """Checks that all rows are of one trial, which has one row in the table `trial`.

    Raises:
        ValueError: They are not.
    """
    if len(tables["trial"]) != 1:
        raise ValueError(f"`trial`: must be one row, got {len(tables['trial'])}.")
    for name, table in tables.items():
        if foreign := set(table["trial"].unique().to_pylist()) - {key}:
            raise ValueError(
                f"`{name}.trial`: must be `{key}` in every row, got {sorted(map(str, foreign))}."
            )
