"""Small photographs of the samples that the report shows, kept in the run as `cases.parquet`.

They are there because a report reads no data set: it is made where only the run's folder may be.
"""

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from study.evidence.arrow_tables import schema_table
from study.evidence.records import Row
from study.evidence.schema import CASES
from study.evidence.store import Store
from study.spec.errors import StorageError

Pictures = Mapping[str, Sequence[bytes]]
"""JPEG files of each view of a sample, by the sample's name."""

_FILE = "cases.parquet"


def write_pictures(store: Store, pictures: Pictures, *, synthetic: bool) -> None:
    """Writes or replaces the run's photographs.

    Args:
        store: The run.
        pictures: The photographs.
        synthetic: Whether they are drawn.

    Raises:
        StorageError: The run cannot be written to.
    """
    rows: list[Row] = []
    for sample, views in pictures.items():
        for view, jpeg in enumerate(views):
            rows.append({"sample": sample, "view": view, "jpeg": jpeg, "synthetic": synthetic})
    out = io.BytesIO()
    pq.write_table(schema_table("cases", rows), out, compression="zstd")
    try:
        store.write_bytes(_FILE, out.getvalue())
    except OSError as error:
        raise StorageError(f"`{store.where}/{_FILE}`: must be a place to write to ({error}).") from None


def read_pictures(store: Store) -> Pictures:
    """The run's photographs; none where there are no usable ones, which `store.problems` then names."""
    if not store.exists(store.path(_FILE)):
        return {}
    try:
        table = pq.read_table(io.BytesIO(store.read_bytes(_FILE)))
    except (StorageError, OSError, pa.ArrowException) as error:
        return _without_pictures(store, f"cannot be read ({error})")
    if not table.schema.equals(CASES):
        return _without_pictures(store, "has other columns than the schema")
    found: dict[str, list[bytes]] = {}
    for row in table.sort_by([("sample", "ascending"), ("view", "ascending")]).to_pylist():
        found.setdefault(row["sample"], []).append(row["jpeg"])
    return found


def _without_pictures(store: Store, what: str) -> Pictures:
    line = f"`{_FILE}`: {what}; skipped. The study's command writes it again when it ends."
    if line not in store.problems:
        store.problems.append(line)
    return {}
