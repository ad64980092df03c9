"""Reading one Parquet file of one trial, and refusing it when it is not what it should be."""

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

Filters = Mapping[str, str | int | bool | Collection[str | int]]


class UnusableFileError(Exception):
    """A file of a run cannot be used; the message says what is wrong with it."""


def read_trial_table(
    filesystem: fs.FileSystem, path: str, schema: pa.Schema, columns: list[str], key: str
) -> pa.Table:
    """The columns of a trial's table, if the file is whole, has the schema and belongs to the trial.

    Args:
        filesystem: where the file is.
        path: of the file.
        schema: of the table.
        columns: to read.
        key: of the trial.

    Raises:
        UnusableFileError: it is missing, damaged, has other columns or types, or holds rows of another trial.
    """
    try:
        with pq.ParquetFile(filesystem.open_input_file(path)) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise UnusableFileError("has other columns than the schema")
            if not _belongs(file.metadata, found.get_field_index("trial"), key):
                raise UnusableFileError(f"holds rows of another trial than `{key}`")
            table: pa.Table = file.read(columns=columns, use_threads=False)
            return table.select(columns)
    except FileNotFoundError:
        raise UnusableFileError("is missing") from None
    except (OSError, pa.ArrowException) as error:
        raise UnusableFileError(f"cannot be read ({error})") from None


def _belongs(metadata: pq.FileMetaData, column: int, key: str) -> bool:
    """Whether every row carries the key in the column, read from the file's statistics (no list stands before the column)."""
    groups = (metadata.row_group(i).column(column).statistics for i in range(metadata.num_row_groups))
    return metadata.num_rows == 0 or all(
        s is not None and s.has_min_max and s.min == s.max == key for s in groups
    )


def matching(table: pa.Table, filters: Filters) -> pa.Table:
    """The rows that have, in each column of the filters, the value or one of the values."""
    for column, wanted in filters.items():
        values = [wanted] if isinstance(wanted, str | int) else list(wanted)
        allowed = pc.SetLookupOptions(pa.array(values, table.schema.field(column).type))
        table = table.filter(pc.call_function("is_in", [table[column]], allowed))
    return table
