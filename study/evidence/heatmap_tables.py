"""The heat maps of a run as Parquet: `heatmaps/{samples,maps,checks}.parquet` beside its trials.

There is one set of them in a run: new heat maps replace all that were there.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.evidence.arrow_tables import Rows
from study.evidence.run_tables import read_run_table, write_run_table
from study.evidence.schema import HEATMAPS
from study.evidence.store import Store
from study.evidence.trial_files import UnusableFileError

GRAD_CAM, ATTENTION = "grad_cam", "attention"
TRAINED = ""  # the step before any part is randomised
_KEY = ["trial", "sample", "method", "name", "step"]


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """The heat maps of a run; columns as in the schema.

    Attributes:
        samples: One row for each trial and sample.
        maps: One row for each trial, sample, view, method, name and step.
        checks: One row for each trial and step.
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
        """The samples, in the order in which they were picked."""
        return list(dict.fromkeys(self.samples["sample"]))

    @cached_property
    def _rows(self) -> Mapping[Hashable, np.ndarray]:
        return {key: np.asarray(rows) for key, rows in self.maps.groupby(_KEY).indices.items()}

    def of(
        self, trial: str, sample: str, method: str, name: str, step: str = TRAINED
    ) -> dict[int, Float[np.ndarray, "h w"]]:
        """The map of each view that has one.

        Args:
            trial: Key of the trial.
            sample: Name of the sample.
            method: `grad_cam` or `attention`.
            name: Name of the label or of the attention block.
            step: The last part that was randomised; empty for the trained network.
        """
        rows = self.maps.iloc[self._rows.get((trial, sample, method, name, step), np.array([], dtype=int))]
        found = {}
        for view, values, *shape in zip(
            rows["view"], rows["values"], rows["height"], rows["width"], strict=True
        ):
            found[int(view)] = np.asarray(values, dtype=np.float32).reshape(shape)
        return found

    def names(self, trial: str, method: str) -> list[str]:
        """The labels or the attention blocks of which the trained network has maps, in their order."""
        trained = self.maps[self.maps["step"] == TRAINED]
        mine = trained[(trained["trial"] == trial) & (trained["method"] == method)]
        return list(dict.fromkeys(mine["name"]))


def write_heatmaps(store: Store, rows: Mapping[str, Rows]) -> None:
    """Writes or replaces the run's heat maps.

    Args:
        store: Store of the run.
        rows: Rows of `samples`, `maps` and `checks`.

    Raises:
        TypeError: A column is not as the schema says.
        StorageError: The run cannot be written to.
    """
    for name in HEATMAPS:
        write_run_table(store, name, rows[name.removeprefix("heatmaps/")])


def read_heatmaps(store: Store) -> HeatMaps | None:
    """The run's heat maps; None where there are none, or unusable ones, which `store.problems` then names."""
    try:
        tables = [read_run_table(store, name, schema) for name, schema in HEATMAPS.items()]
    except UnusableFileError as problem:
        _note_problem(store, str(problem))
        return None
    frames = [table.to_pandas() for table in tables if table is not None]
    if len(frames) < len(HEATMAPS):
        return None
    samples, maps, checks = frames
    shown = set(zip(samples["trial"], samples["sample"], strict=True))
    mapped = set(zip(maps["trial"], maps["sample"], strict=True))
    if mapped != shown or not set(checks["trial"]) <= set(samples["trial"]):
        _note_problem(store, "the files do not belong together")
        return None
    return HeatMaps(samples, maps, checks)


def _note_problem(store: Store, what: str) -> None:
    line = f"`heatmaps`: {what}; skipped. Make them again with python -m study.heatmaps."
    if line not in store.problems:
        store.problems.append(line)
