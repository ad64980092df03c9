"""The ensemble of the search's trials as a trial of its own, scored like any other."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from study.engine.orders.publishing import is_published, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.evidence.ensemble import ENSEMBLE, LIBRARY, mean_predictions, select_members
from study.evidence.objective import Judge
from study.evidence.predictions import Predictions, predictions_of
from study.evidence.records import CONTENDERS, Role, State, TrialRecord, best_first, trial_table
from study.evidence.score import score_rows
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec

_COLUMNS = ("trial", "role", "state", "value", "head", "num_parameters", "multiply_adds")


def publish_ensemble(
    store: Store, site: Site, spec: TrialSpec, judge: Judge, labels: Sequence[str]
) -> str | None:
    """Chooses an ensemble of the search's complete trials, fine-tuned ones included, and publishes it.

    Its key has the number of trials that it was chosen from, so that an extended study gets a new one.

    Args:
        store: Records of the run.
        site: Site of the study.
        spec: Any trial of the study.
        judge: Judge of that trial.
        labels: Names of the labels.

    Returns:
        The key; None where it is there already, where fewer than two trials have predictions, where one trial
        alone is as good as any ensemble, and for the task retrieval.

    Raises:
        StorageError: Writing failed.
    """
    trials = store.read("trial", columns=_COLUMNS).set_index("trial", drop=False)
    usable = trials["role"].isin(CONTENDERS) & (trials["state"] == State.COMPLETE)
    complete = trials[usable & np.isfinite(trials["value"].astype(float))]
    key = f"ensemble-{len(complete):05d}"
    if judge.objective.by == "retrieval" or is_published(store, key):
        return None
    best = best_first(complete).head(LIBRARY)
    library = _predictions(store, best["head"], "val")
    if len(library) < 2:
        return None
    weights, value = select_members(library, judge.objective.measure, judge.kind, judge.thresholds)
    if len(weights) < 2:
        return None
    members = complete.loc[list(weights)]
    predicted = [
        mean_predictions([of_split[trial] for trial in weights], list(weights.values()), key)
        for of_split in (library, _predictions(store, members["head"], "test"))
    ]
    record = _record(site, spec, judge, key, weights, value, members, synthetic=predicted[0].synthetic)
    tables = {
        "trial": trial_table(record),
        "predictions": pa.concat_tables(part.table() for part in predicted),
        "scores": score_rows(predicted, judge.kind, labels, judge.thresholds),
    }
    retry_write(store, f"trials/{key}", lambda: store.publish(key, tables))
    return key


def _predictions(store: Store, heads: pd.Series, split: str) -> dict[str, Predictions]:
    """Predictions of the trials that are on the same samples as those of the first.

    Args:
        store: Records of the run.
        heads: The head that stands for each trial, by key.
        split: Name of the split.
    """
    table = store.read_table("predictions", list(heads.index), filters={"split": split})
    found = {part.trial: part.known() for part in predictions_of(table) if part.head == heads[part.trial]}
    ordered = {trial: found[trial] for trial in heads.index if trial in found}
    first = next((part.sample for part in ordered.values()), [])
    return {trial: part for trial, part in ordered.items() if part.sample == first}


def _record(
    site: Site,
    spec: TrialSpec,
    judge: Judge,
    key: str,
    weights: Mapping[str, float],
    value: float,
    members: pd.DataFrame,
    *,
    synthetic: bool,
) -> TrialRecord:
    """The record of an ensemble: it took no time, and has the size and cost of all its members."""
    now = datetime.now(UTC)
    return trial_record(
        TrialOrder(key=key, role=Role.ENSEMBLE, spec=spec.dump(), params=weights, trains=False),
        site,
        state=State.COMPLETE,
        objective=judge.objective.name,
        value=value,
        objectives={judge.objective.name: value},
        head=ENSEMBLE,
        best_epoch=0,
        num_epochs=0,
        num_parameters=int(members["num_parameters"].sum()),
        multiply_adds=int(members["multiply_adds"].sum()),
        seconds_training=0.0,
        seconds_total=0.0,
        started=now,
        ended=now,
        synthetic=synthetic,
    )
