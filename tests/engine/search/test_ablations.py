"""What follows the search: every variant is tuned alike, and one training stands for all that ask for it."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from study.evidence.arrow_tables import Rows
from study.evidence.store import WEIGHTS, Store
from tests.engine.fake_study import conduct, require_whole, run, train

RATE = "optimiser.lr"
CBAM, OSIM = {"model.attention": "cbam"}, {"model.context": "osim"}
TUNED: dict[str, Any] = {
    "tune": {"parameters": [RATE], "trials": 4},
    "seeds": [5, 6],
    "variants": {"cbam": CBAM, "osim": OSIM},
}


class Killed(BaseException):
    """A SIGKILL: nothing below it runs."""


def tables(**ablations: Any) -> dict[str, Any]:
    return {"ablations": ablations, "search.trials": 3, "search.pruner": "none"}


def rows_of(store: Store, role: str) -> list[dict[str, Any]]:
    return [row for row in store.read_table("trial").to_pylist() if row["role"] == role]


def rate_of(row: dict[str, Any]) -> float:
    return float(json.loads(row["spec"])["optimiser"]["lr"])


def test_every_variant_tries_the_same_settings_and_trains_its_seeds_at_the_best(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    conductor = conduct(store, **tables(t=TUNED))
    run(conductor)
    require_whole(store)
    tried = {
        variant: [rate_of(row) for row in rows_of(store, "tune") if row["variant"] == variant]
        for variant in ("cbam", "osim")
    }
    assert tried["cbam"] == tried["osim"]
    assert len(set(tried["cbam"])) == 4
    assert conductor.plan.best is not None
    assert tried["cbam"][0] == conductor.plan.best[1][RATE]  # the setting of the base comes first
    best = min(tried["cbam"], key=lambda rate: abs(rate - 1e-3) / rate if rate < 1e-3 else rate / 1e-3 - 1)
    values = {rate_of(row): row["value"] for row in rows_of(store, "tune")}
    assert values[best] == max(values.values())
    trained = rows_of(store, "ablation")
    assert [row["trial"] for row in trained] == [
        f"ablation-t-{variant}-s{seed}" for variant in ("cbam", "osim") for seed in (5, 6)
    ]
    assert {rate_of(row) for row in trained} == {best}
    assert all(json.loads(row["params"]) == {RATE: best} for row in trained)


def test_the_first_seed_of_a_tuned_variant_is_not_trained_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    run(conduct(store, **tables(t=TUNED)))
    again = {row["trial"]: row["message"] for row in rows_of(store, "ablation")}
    assert again["ablation-t-cbam-s5"].startswith("same training as tune-t-cbam-0")
    assert again["ablation-t-cbam-s6"] == ""
    seconds = {row["trial"]: row["seconds_training"] for row in rows_of(store, "ablation")}
    assert (seconds["ablation-t-cbam-s5"], seconds["ablation-t-cbam-s6"]) == (0.0, 1.0)


def test_a_study_that_is_killed_while_it_tunes_chooses_the_same(tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    run(conduct(whole, **tables(t=TUNED)))
    for moment in range(1, 70, 7):
        store, left = Store(tmp_path / str(moment)), iter(range(moment))

        def killed(left: Any = left) -> None:
            if next(left, None) is None:
                raise Killed("now")

        try:
            run(conduct(store, **tables(t=TUNED)), killed=killed)
        except Killed:
            run(conduct(store, **tables(t=TUNED)))
        require_whole(store)
        chosen = [{row["trial"]: row["params"] for row in rows_of(s, "ablation")} for s in (store, whole)]
        assert chosen[0] == chosen[1]


@pytest.mark.parametrize("slots", [1, 3])
def test_a_training_that_two_tables_ask_for_is_done_once(tmp_path: Path, slots: int) -> None:
    store = Store(tmp_path / "a")
    table = {"variants": {"full": OSIM, "other": CBAM}}
    again = {"variants": {"osim": {"model.context": {"name": "osim", "scale_mode": "output_size"}}}}
    run(conduct(store, **tables(t=table, u=again)), slots)
    require_whole(store)
    first, second = (row for row in rows_of(store, "ablation") if row["variant"] in ("full", "osim"))
    assert {first["message"], second["message"]} in (
        {"", f"same training as {first['trial']}"},
        {"", f"same training as {second['trial']}"},
    )
    assert first["value"] == second["value"]
    assert first["fingerprint"] == second["fingerprint"]
    curves = store.read("epochs")
    copied = [curves[curves["trial"] == row["trial"]]["value"].tolist() for row in (first, second)]
    assert copied[0] == copied[1]
    assert len(copied[0]) == 4


def test_the_untrained_network_is_not_taken_for_a_trained_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    run(conduct(store, **tables()))
    assert [row["message"] for row in rows_of(store, "baseline")] == [""]


def test_a_record_that_cannot_be_read_is_trained_for_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    conductor = conduct(store, **tables(t={"variants": {"a": OSIM}}, u={"variants": {"b": OSIM}}))
    while (order := conductor.next()) is not None:
        train(conductor, order)
        if order.table == "t":
            (tmp_path / "a" / "trials" / order.key / "trial.parquet").write_bytes(b"half")
    assert [row["trial"] for row in rows_of(store, "ablation")] == ["ablation-u-b-s0"]


class StoreWithWeights(Store):
    """Every trial that is published comes with weights."""

    def publish(
        self, key: str, tables: Mapping[str, Rows | pa.Table], files: Mapping[str, Path] | None = None
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / WEIGHTS
            weights.write_bytes(b"w")
            super().publish(key, tables, {WEIGHTS: weights, **(files or {})})


def test_a_variant_that_keeps_its_weights_gets_those_of_the_same_training(tmp_path: Path) -> None:
    store = StoreWithWeights(tmp_path / "a")
    both = tables(t={"variants": {"a": OSIM}}, u={"variants": {"b": OSIM}})
    run(conduct(store, **both, keep_weights_of=["u"]))
    messages = {row["trial"]: row["message"] for row in rows_of(store, "ablation")}
    assert messages["ablation-u-b-s0"] == ""  # what keeps weights comes first
    assert messages["ablation-t-a-s0"] == "same training as ablation-u-b-s0"
    assert store.has_weights("ablation-u-b-s0")
    assert not store.has_weights("ablation-t-a-s0")


def test_each_fold_is_the_test_set_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    run(conduct(store, **tables(t={"folds": 3, "variants": {"a": OSIM}})))
    rows = rows_of(store, "ablation")
    assert [row["trial"] for row in rows] == [f"ablation-t-a-s0-f{fold}" for fold in range(3)]
    splits = [json.loads(row["spec"])["data"]["split"] for row in rows]
    assert [(split["folds"], split["fold"]) for split in splits] == [(3, 0), (3, 1), (3, 2)]
    assert [row["fold"] for row in rows] == [0, 1, 2]
