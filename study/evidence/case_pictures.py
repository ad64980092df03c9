"""Small photographs of the samples that the report shows, kept in the run as `cases.parquet`.

They are there because a report reads no data set: it is made where only the run's folder may be.
"""

from collections.abc import Mapping, Sequence

from study.evidence.records import Row
from study.evidence.run_tables import table_of_run, write_run_table
from study.evidence.store import Store

Pictures = Mapping[str, Sequence[bytes]]
"""JPEG files of each view of a sample, by the sample's name."""


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
    write_run_table(store, "cases", rows)


def read_pictures(store: Store) -> Pictures:
    """The run's photographs; none where there are no usable ones, which `store.problems` then names."""
    found: dict[str, list[bytes]] = {}
    rows = table_of_run(store, "cases").sort_values(["sample", "view"])
    for sample, jpeg in zip(rows["sample"], rows["jpeg"], strict=True):
        found.setdefault(sample, []).append(jpeg)
    return found
