"""The records of a trial as types: its row of TRIAL and its rows of EPOCHS, to Parquet and back.

They are made where a trial ends and nowhere else; every other module reads them.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum

import pandas as pd
import pyarrow as pa

from study.evidence.arrow_tables import schema_table
from study.evidence.store import Store
from study.spec.holes import Scalar

Row = dict[str, object]


class State(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Role(StrEnum):
    """What a trial was run for."""

    SEARCH = "search"
    FINETUNE = "finetune"
    CONFIRM = "confirm"
    TUNE = "tune"
    ABLATION = "ablation"
    BASELINE = "baseline"
    ENSEMBLE = "ensemble"


CONTENDERS = (Role.SEARCH, Role.FINETUNE)
"""Roles of the trials among which the best on validation is chosen."""


def best_first(trials: pd.DataFrame) -> pd.DataFrame:
    """Rows of TRIAL, the greatest value first and those without one last; of equal values the smallest key.

    Whatever chooses a trial goes by this order, so that report, prediction and kept weights agree on ties.
    """
    by_key = trials.iloc[trials["trial"].to_numpy().argsort()]
    return by_key.sort_values("value", ascending=False, kind="stable", na_position="last")


class Outcome(StrEnum):
    """Why a trial failed; `NONE` where it did not."""

    NONE = ""
    ERROR = "error"
    NON_FINITE_LOSS = "non_finite_loss"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of a trial: a row of EPOCHS.

    Attributes:
        trial: Key of the trial.
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the samples of the epoch.
        val_loss: The same loss on the validation split.
        value: First objective on the validation split.
        lr: Learning rate at the end of the epoch.
        seconds: Seconds spent in training and validation.
        pairs_per_second: Samples per second of the training part.
        synthetic: Whether the images are drawn.
    """

    trial: str
    epoch: int
    train_loss: float
    val_loss: float
    value: float
    lr: float
    seconds: float
    pairs_per_second: float
    synthetic: bool

    def row(self) -> Row:
        """The record as plain data, which `EpochRecord(**row)` takes back."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """How one trial ended: the row of TRIAL. What the columns hold stands in `study.evidence.schema`.

    Attributes:
        params: What the sampler suggested, by parameter.
        spec: The `TrialSpec` as plain data.
        objectives: Value of each objective by its name, the first one to be maximised; empty unless complete.
    """

    study: str
    trial: str
    role: Role
    number: int | None
    table: str
    variant: str
    seed: int
    fold: int
    state: State
    outcome: Outcome
    message: str
    collapsed: str
    params: Mapping[str, Scalar]
    spec: Mapping[str, object]
    fingerprint: str
    objective: str
    value: float | None
    head: str
    setting: str
    best_epoch: int | None
    num_epochs: int
    objectives: Mapping[str, float]
    num_parameters: int | None
    multiply_adds: int | None
    seconds_training: float
    seconds_total: float
    device: str
    host: str
    device_kind: str
    num_devices: float
    started: datetime
    ended: datetime
    provenance: str
    data_fingerprint: str
    split_hash: str
    synthetic: bool

    def row(self) -> Row:
        """The record as a row of TRIAL, with its mappings as JSON; the store adds the digest."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        row = {name: json.dumps(value) if name in JSON_COLUMNS else value for name, value in plain.items()}
        return {**row, "digest": ""}


JSON_COLUMNS = frozenset({"params", "spec", "objectives"})


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """The part of a `TrialRecord` that a study needs to go on; it reads faster than the whole.

    Attributes:
        trial: Key of the trial.
        role: What it was run for.
        number: Its number in the search; None outside of the search.
        state: How it ended.
        value: First objective on validation; None where it has none.
        objectives: Value of each objective by its name.
        params: What the sampler suggested, by parameter.
        epochs: Epochs that the trial was asked to train.
        fingerprint: Fingerprint of its specification.
    """

    trial: str
    role: Role
    number: int | None
    state: State
    value: float | None
    objectives: Mapping[str, float]
    params: Mapping[str, Scalar]
    epochs: int
    fingerprint: str

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> "FinishedTrial":
        """The trial of a row with the columns `FINISHED_COLUMNS`."""
        return cls(
            trial=str(row["trial"]),
            role=Role(str(row["role"])),
            number=None if row["number"] is None else int(str(row["number"])),
            state=State(str(row["state"])),
            value=None if row["value"] is None else float(str(row["value"])),
            objectives=json.loads(str(row["objectives"])),
            params=json.loads(str(row["params"])),
            epochs=json.loads(str(row["spec"]))["training"]["epochs"],
            fingerprint=str(row["fingerprint"]),
        )


# Of ten thousand records each column that is read costs a second.
FINISHED_COLUMNS = (
    "trial",
    "role",
    "number",
    "state",
    "value",
    "objectives",
    "params",
    "spec",
    "fingerprint",
)


def trial_table(record: TrialRecord) -> pa.Table:
    """A table of TRIAL with the one record."""
    return schema_table("trial", [record.row()])


def epochs_table(records: Iterable[EpochRecord]) -> pa.Table:
    """A table of EPOCHS."""
    return schema_table("epochs", [record.row() for record in records])


def learning_curves(store: Store) -> dict[str, dict[int, float]]:
    """First objective of every finished trial by its epochs; epochs without a finite value are left out."""
    curves: dict[str, dict[int, float]] = {}
    for row in store.read_table("epochs", columns=("trial", "epoch", "value")).to_pylist():
        if math.isfinite(row["value"]):
            curves.setdefault(row["trial"], {})[int(row["epoch"])] = float(row["value"])
    return curves


def finished_trials(store: Store) -> list[FinishedTrial]:
    """Every finished trial of a run."""
    return [
        FinishedTrial.from_row(row) for row in store.read_table("trial", columns=FINISHED_COLUMNS).to_pylist()
    ]
