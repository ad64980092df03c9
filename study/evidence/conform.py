"""Rows and arrays as Arrow tables of the schema, and list columns back as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Num, Shaped

from study.evidence.schema import HEATMAPS, STUDY, TABLES

Rows = Sequence[Mapping[str, Any]]
_SCHEMAS = {"study": STUDY, **TABLES, **HEATMAPS}


def conform(name: str, data: Rows | pa.Table) -> pa.Table:
    """The rows as a table with exactly the columns and types of the schema, in its order.

    Args:
        name: the table's name in `schema.TABLES`, or `study`.
        data: rows (every column must be there, None for null) or a table whose column types are the schema's.

    Raises:
        TypeError: an unknown table, a missing or unknown column, or a value of another type; names table and column.
    """
    if name not in _SCHEMAS:
        raise TypeError(f"`{name}`: must be a table of the schema: {', '.join(_SCHEMAS)}.")
    schema = _SCHEMAS[name]
    for row_columns in [data.column_names] if isinstance(data, pa.Table) else {tuple(row) for row in data}:
        if wrong := set(schema.names) ^ set(row_columns):
            verb = {column: "is missing" if column in schema.names else "is unknown" for column in wrong}
            raise TypeError(
                "; ".join(f"`{name}.{column}`: the column {verb[column]}" for column in sorted(wrong)) + "."
            )
    if isinstance(data, pa.Table):
        for field in schema:
            if data.schema.field(field.name).type != field.type:
                raise TypeError(
                    f"`{name}.{field.name}`: must be {field.type}, got {data.schema.field(field.name).type}."
                )
        return data.select(schema.names).replace_schema_metadata(None)
    return pa.table(
        [_column(name, field, [row[field.name] for row in data]) for field in schema], schema=schema
    )


def _column(table: str, field: pa.Field, column: list[Any]) -> pa.Array:
    try:
        return pa.array(column, type=field.type)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        TypeError,
    ) as error:
        raise TypeError(f"`{table}.{field.name}`: must be {field.type} ({error}).") from None


def list_column(matrix: Shaped[np.ndarray, "n m"], missing: int | None = None) -> pa.Array:
    """One list of m values for each of n rows; null where the value is `missing`."""
    flat = np.ascontiguousarray(matrix).reshape(-1)
    values = pa.array(flat, mask=None if missing is None else flat == missing)
    offsets = (
        np.arange(0, flat.size + 1, matrix.shape[1], dtype=np.int32)
        if flat.size
        else np.zeros(len(matrix) + 1, np.int32)
    )
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def matrix_of(column: pa.ChunkedArray, missing: int | None = None) -> Num[np.ndarray, "n m"]:
    """A list column as an array; nulls become `missing`.

    Raises:
        ValueError: the lists have different lengths, or a null where no replacement is given.
    """
    numbers = column.combine_chunks().flatten() if len(column) else pa.array([], column.type.value_type)
    if missing is not None:
        numbers = numbers.fill_null(missing)
    if numbers.null_count:
        raise ValueError("a list column holds nulls where every number must be known")
    if len(column) and len(numbers) % len(column):
        raise ValueError("a list column holds lists of different lengths")
    width = len(numbers) // len(column) if len(column) else 0
    return np.asarray(numbers.to_numpy(zero_copy_only=False)).reshape(len(column), width)
