"""The records of a trial go to Parquet and come back as they were."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from study.evidence.records import (
    EpochRecord,
    FinishedTrial,
    Outcome,
    Role,
    State,
    TrialRecord,
    epochs_table,
    finished_trials,
    learning_curves,
    trial_table,
)
from study.evidence.schema import EPOCHS, TRIAL
from study.evidence.store import Store

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)
RECORD = TrialRecord(
    study="a",
    trial="search-00003",
    role=Role.SEARCH,
    number=3,
    table="",
    variant="",
    seed=1,
    fold=0,
    state=State.COMPLETE,
    outcome=Outcome.NONE,
    collapsed="",
    message="",
    params={"optimiser.lr": 0.001, "loss": "bce"},
    spec={"training": {"epochs": 12}},
    fingerprint="abc",
    objective="macro_auc",
    value=0.8,
    head="network",
    setting="",
    best_epoch=2,
    num_epochs=3,
    objectives={"macro_auc": 0.8, "multiply_adds": 7.0},
    num_parameters=10,
    multiply_adds=7,
    seconds_training=1.0,
    seconds_total=2.0,
    device="cpu x 1",
    host="here",
    device_kind="cpu",
    num_devices=1.0,
    started=NOW,
    ended=NOW,
    provenance="{}",
    data_fingerprint="f",
    split_hash="s",
    synthetic=True,
)
EPOCH = EpochRecord(
    trial="search-00003",
    epoch=1,
    train_loss=0.7,
    val_loss=0.6,
    value=0.75,
    lr=0.001,
    seconds=1.5,
    pairs_per_second=80.0,
    synthetic=True,
)


def test_the_records_have_the_columns_of_the_schema() -> None:
    assert {field.name for field in fields(TrialRecord)} | {"digest"} == set(TRIAL.names)
    assert {field.name for field in fields(EpochRecord)} == set(EPOCHS.names)


def test_a_finished_trial_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    unlearnt = replace(EPOCH, epoch=2, value=float("nan"))
    tables = {"trial": trial_table(RECORD), "epochs": epochs_table([EPOCH, unlearnt])}
    store.publish(RECORD.trial, tables)
    assert finished_trials(store) == [
        FinishedTrial(
            trial="search-00003",
            role=Role.SEARCH,
            number=3,
            state=State.COMPLETE,
            value=0.8,
            objectives={"macro_auc": 0.8, "multiply_adds": 7.0},
            params={"optimiser.lr": 0.001, "loss": "bce"},
            epochs=12,
            fingerprint="abc",
        )
    ]
    assert learning_curves(store) == {"search-00003": {1: 0.75}}
    assert store.read_table("trial").to_pylist()[0]["started"] == NOW


def test_a_failed_trial_outside_of_the_search_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    failed = replace(
        RECORD,
        trial="ablation-t-v-s0",
        role=Role.ABLATION,
        number=None,
        state=State.FAILED,
        outcome=Outcome.OUT_OF_MEMORY,
        value=None,
        objectives={},
    )
    store.publish(failed.trial, {"trial": trial_table(failed)})
    (found,) = finished_trials(store)
    assert (found.role, found.number, found.state, found.value) == (Role.ABLATION, None, State.FAILED, None)
    assert store.read("trial")["outcome"].item() == "out_of_memory"
