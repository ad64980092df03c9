"""Rows and arrays as Arrow tables of the schema, and list columns back as arrays."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Num, Shaped

from study.evidence.schema import HEATMAPS, OF_RUN, SIMILAR, STUDY, TABLES

Rows = Sequence[Mapping[str, Any]]
_SCHEMAS = {"study": STUDY, **TABLES, **OF_RUN, **HEATMAPS, "similar": SIMILAR}


def schema_table(name: str, data: Rows | pa.Table) -> pa.Table:
    """The data as a table with exactly the columns and types of the schema, in the schema's order.

    Args:
        name: Name of the table in `schema.TABLES`, `schema.OF_RUN` or `schema.HEATMAPS`, or `study` or
            `similar`.
        data: Rows with every column (None for null), or a table whose columns have the types of the schema.

    Raises:
        TypeError: The table is unknown, a column is missing or unknown, or a value has another type; the
            message names table and column.
    """
    if name not in _SCHEMAS:
        raise TypeError(f"`{name}`: must be a table of the schema: {', '.join(_SCHEMAS)}.")
    schema = _SCHEMAS[name]
    if isinstance(data, pa.Table):
        _require_columns(name, schema, data.column_names)
        return _require_types(name, schema, data.select(schema.names))
    for row_columns in {tuple(row) for row in data}:
        _require_columns(name, schema, row_columns)
    columns = [_column(name, field, data) for field in schema]
    return pa.table(columns, schema=schema)


def _require_columns(name: str, schema: pa.Schema, columns: Collection[str]) -> None:
    wrong = sorted(set(schema.names) ^ set(columns))
    if wrong:
        complaints = [
            f"`{name}.{column}`: the column is {'missing' if column in schema.names else 'unknown'}"
            for column in wrong
        ]
        raise TypeError("; ".join(complaints) + ".")


def _require_types(name: str, schema: pa.Schema, table: pa.Table) -> pa.Table:
    for field in schema:
        found = table.schema.field(field.name).type
        if found != field.type:
            raise TypeError(f"`{name}.{field.name}`: must be {field.type}, got {found}.")
    return table.replace_schema_metadata(None)


def _column(name: str, field: pa.Field, rows: Rows) -> pa.Array:
    values = [row[field.name] for row in rows]
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise TypeError(f"`{name}.{field.name}`: must be {field.type} ({error}).") from None


def list_column(matrix: Shaped[np.ndarray, "n m"], missing: int | None = None) -> pa.Array:
    """One list of m values for each of n rows; null where the value is `missing`."""
    flat = np.ascontiguousarray(matrix).reshape(-1)
    values = pa.array(flat, mask=None if missing is None else flat == missing)
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * np.int32(matrix.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def matrix_of(column: pa.ChunkedArray, missing: int | None = None) -> Num[np.ndarray, "n m"]:
    """A list column as an array; nulls become `missing`.

    Raises:
        ValueError: The lists have different lengths, or a value is null and no replacement is given.
    """
    if not len(column):
        return np.asarray(pa.array([], column.type.value_type).to_numpy(zero_copy_only=False)).reshape(0, 0)
    numbers = column.combine_chunks().flatten()
    if missing is not None:
        numbers = numbers.fill_null(missing)
    if numbers.null_count:
        raise ValueError("`column`: must hold known numbers only, got nulls.")
    if len(numbers) % len(column):
        raise ValueError("`column`: must hold lists of one length, got different lengths.")
    return np.asarray(numbers.to_numpy(zero_copy_only=False)).reshape(len(column), -1)
