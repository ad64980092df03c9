"""Heat maps of a run as Parquet: `heatmaps/{samples,maps,checks}.parquet` beside its trials, replaced as a whole by the next ones."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from study.evidence.conform import Rows, conform
from study.evidence.schema import HEATMAPS
from study.evidence.store import Store
from study.spec.errors import StorageError

GRAD_CAM, ATTENTION = "grad_cam", "attention"
TRAINED = ""  # the step before any randomisation
_KEY = ["trial", "sample", "method", "name", "step"]


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """What is stored; columns as in the schema.

    Attributes:
        samples: one row a trial and sample.
        maps: one row a trial, sample, view, method, name and step.
        checks: one row a trial and step.
    """

    samples: pd.DataFrame
    maps: pd.DataFrame
    checks: pd.DataFrame

    @property
    def trials(self) -> list[str]:
        """The trials side by side, the reference first."""
        return list(dict.fromkeys(self.samples["trial"]))

    @property
    def cases(self) -> list[str]:
        """The samples, in the order of choosing."""
        return list(dict.fromkeys(self.samples["sample"]))

    @cached_property
    def _rows(self) -> Mapping[tuple[str, ...], np.ndarray]:
        return {key: np.asarray(rows) for key, rows in self.maps.groupby(_KEY).indices.items()}  # type: ignore[misc]

    def of(
        self, trial: str, sample: str, method: str, name: str, step: str = TRAINED
    ) -> dict[int, Float[np.ndarray, "h w"]]:
        """The map of each view that has one."""
        rows = self.maps.iloc[self._rows.get((trial, sample, method, name, step), np.array([], dtype=int))]
        return {
            int(view): np.asarray(values, dtype=np.float32).reshape(height, width)
            for view, values, height, width in zip(
                rows["view"], rows["values"], rows["height"], rows["width"], strict=True
            )
        }

    def names(self, trial: str, method: str) -> list[str]:
        """The labels, or the attention blocks, of which there are maps of the trained network, in their order."""
        mine = (
            (self.maps["trial"] == trial) & (self.maps["method"] == method) & (self.maps["step"] == TRAINED)
        )
        return list(dict.fromkeys(self.maps.loc[mine, "name"]))


def write_heatmaps(store: Store, rows: Mapping[str, Rows]) -> None:
    """Writes or replaces the run's heat maps.

    Args:
        store: the run.
        rows: of `samples`, `maps` and `checks`.

    Raises:
        TypeError: a column is not as the schema says.
        StorageError: the run cannot be written to.
    """
    try:
        for name in HEATMAPS:
            out = io.BytesIO()
            pq.write_table(conform(name, rows[name.removeprefix("heatmaps/")]), out, compression="zstd")
            store.write_bytes(f"{name}.parquet", out.getvalue())
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"`{store.where}/heatmaps`: must be a place to write to ({error}).") from None


def read_heatmaps(store: Store) -> HeatMaps | None:
    """The run's heat maps; None where there are none, or, named in `store.problems`, where they cannot be used."""
    try:
        content = {name: store.read_bytes(f"{name}.parquet") for name in HEATMAPS}
    except StorageError:
        return None
    try:
        tables = {name: pq.read_table(io.BytesIO(data)) for name, data in content.items()}
    except (OSError, pa.ArrowException) as error:
        _problem(store, f"cannot be read ({error})")
        return None
    if wrong := [name for name, table in tables.items() if not table.schema.equals(HEATMAPS[name])]:
        _problem(store, f"{wrong[0]}.parquet has other columns than the schema")
        return None
    samples, maps, checks = (table.to_pandas() for table in tables.values())
    shown = set(zip(samples["trial"], samples["sample"], strict=True))
    if set(zip(maps["trial"], maps["sample"], strict=True)) != shown or not set(checks["trial"]) <= set(
        samples["trial"]
    ):
        _problem(store, "the files do not belong together")
        return None
    return HeatMaps(samples, maps, checks)


def _problem(store: Store, what: str) -> None:
    line = f"`heatmaps`: {what}; skipped. Make them again with python -m study.heatmaps."
    if line not in store.problems:
        store.problems.append(line)
