"""A digest of what tables say, which does not change with the way in which they are stored.

A packed trial, a copy on another storage, and a file that was written again with another compression have the
same digest; another value, row or order of rows has another one.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DIGEST = "digest"  # column of TRIAL that holds the digest of the trial's tables


def digest_of(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256 over the names, columns, types and values of the tables, without the column `digest`."""
    found = hashlib.sha256()
    for name, table in sorted(tables.items()):
        found.update(f"table {name} {len(table)}\n".encode())
        for field in table.schema:
            if field.name != DIGEST:
                found.update(f"column {field.name} {_type_words(field.type)}\n".encode())
                for part in _parts(table[field.name].combine_chunks()):
                    found.update(part)
    return found.hexdigest()


def _type_words(kind: pa.DataType) -> str:
    """The type without the name of a list's items, which Parquet changes."""
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def _parts(column: pa.Array) -> Iterator[bytes]:
    """Nulls, lengths and values of a column, without the bytes that its buffers hold besides."""
    yield np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_list(column.type):
        yield from _parts(pc.call_function("list_value_length", [column]).drop_null())
        yield from _parts(column.flatten())
    elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        yield from _parts(pc.call_function("binary_length", [column]).drop_null())
        yield b"".join(column.drop_null().cast(pa.binary()).to_pylist())
    else:
        plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        yield plain.drop_null().to_numpy(zero_copy_only=False).tobytes()


def with_digest(tables: Mapping[str, pa.Table]) -> pa.Table:
    """The table `trial` of a trial's tables, with the digest of them all in its row."""
    trial = tables["trial"]
    place = trial.schema.get_field_index(DIGEST)
    return trial.set_column(place, trial.schema.field(place), pa.array([digest_of(tables)]))
