"""The search's best trials go on from their weights: which, when, and for how long weights are kept."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from study.engine.orders.pending_orders import delete_partial_writes
from study.engine.search.plan import Plan
from study.evidence.arrow_tables import Rows
from study.evidence.records import Role
from study.evidence.store import WEIGHTS, Store
from tests.engine.fake_study import conduct, require_whole, run, train

FINETUNE: dict[str, Any] = {
    "model.backbone": {"name": "tiny", "freeze": "all"},
    "search.pruner": "none",
    "search.finetune": {"top": 4, "epochs": 2},
}


class Killed(Exception):
    """The process ends here."""


class KeepingStore(Store):
    """Every trial that is published comes with weights."""

    def publish(
        self, key: str, tables: Mapping[str, Rows | pa.Table], files: Mapping[str, Path] | None = None
    ) -> None:
        weights = Path(self.where).parent / f"{key}.weights"
        weights.write_bytes(b"w")
        super().publish(key, tables, {WEIGHTS: weights})


def best_of(store: Store, num: int) -> list[str]:
    """Keys of the search's best trials."""
    trials = store.read("trial")
    ranked = trials[trials["role"] == "search"].sort_values("value", ascending=False, kind="stable")
    return list(ranked["trial"][:num])


def finetuned(store: Store) -> set[str]:
    trials = store.read("trial")
    return set(trials[trials["role"] == "finetune"]["trial"])


def test_the_best_trials_follow_the_search_and_keep_their_weights(tmp_path: Path) -> None:
    store = KeepingStore(tmp_path / "a")
    conductor = conduct(store, **FINETUNE)
    assert conductor.plan.num_left == 8 + 4 + 1
    run(conductor, slots=2)
    assert conductor.plan.num_left == 0
    best = best_of(store, 4)
    assert finetuned(store) == {f"finetune-{key}" for key in best}
    trials = store.read("trial").set_index("trial")
    for key in best:
        row, first = trials.loc[f"finetune-{key}"], trials.loc[key]
        assert (row["variant"], row["params"], row["num_epochs"]) == (key, first["params"], 2)
        assert row["fingerprint"] != first["fingerprint"]
        assert row["started"] > first["ended"]
    assert conductor.keep_weights == 3  # fewer than are fine-tuned
    kept = set(filter(store.has_weights, trials.index))
    assert kept == {*best, *finetuned(store)}
    values = trials[trials["role"].isin(["search", "finetune"])]["value"]
    assert conductor.plan.best_value == values.max()


def test_extending_fine_tunes_what_is_missing(tmp_path: Path) -> None:
    store = KeepingStore(tmp_path / "a")
    run(conduct(store, **{**FINETUNE, "search.finetune": None}))
    more = {**FINETUNE, "search.finetune": {"top": 2, "epochs": 2}}
    run(conduct(store, **more))
    assert finetuned(store) == {f"finetune-{key}" for key in best_of(store, 2)}
    first = finetuned(store)
    extended = conduct(store, **{**more, "search.trials": 24})
    run(extended)
    assert finetuned(store) == first | {f"finetune-{key}" for key in best_of(store, 2)}
    assert conduct(store, **{**more, "search.trials": 24}).plan.done


def test_a_search_that_was_extended_and_cut_off_at_its_end_is_fine_tuned_later(tmp_path: Path) -> None:
    store = KeepingStore(tmp_path / "a")
    run(conduct(store, **FINETUNE))
    run(conduct(store, **{**FINETUNE, "search.finetune": None, "search.trials": 24}))
    missing = {f"finetune-{key}" for key in best_of(store, 4)} - finetuned(store)
    plan: Plan = conduct(store, **{**FINETUNE, "search.trials": 24}).plan
    assert missing
    assert plan.num_left == len(missing)
    assert not plan.done


@pytest.mark.parametrize("seed", range(6))
def test_kills_at_any_moment_lose_no_trial_and_no_weights_that_are_needed(tmp_path: Path, seed: int) -> None:
    store, draw = KeepingStore(tmp_path / "a"), random.Random(seed)

    def killed() -> None:
        if draw.random() < 0.08:
            raise Killed

    for _ in range(200):
        delete_partial_writes(store)
        conductor = conduct(store, **FINETUNE)
        for start in conductor.plan.starts:
            assert store.has_weights(start)
        try:
            run(conductor, slots=2, seed=seed, killed=killed)
            break
        except Killed:
            continue
    require_whole(store)
    assert finetuned(store) == {f"finetune-{key}" for key in best_of(store, 4)}


def test_a_running_start_keeps_its_weights_when_better_trials_come(tmp_path: Path) -> None:
    store = KeepingStore(tmp_path / "a")
    settings = {**FINETUNE, "search.finetune": {"top": 1, "epochs": 2}, "search.trials": 4}
    conductor = conduct(store, **settings)
    while (order := conductor.next()) is not None and order.role is Role.SEARCH:
        train(conductor, order)
    assert order is not None
    assert order.start == best_of(store, 1)[0]
    again = conduct(store, **{**settings, "search.trials": 60})  # the order is pending and comes first
    assert again.next() == order
    while (other := again.next()) is not None and other.role is Role.SEARCH:
        train(again, other)
    assert order.start not in best_of(store, 3)
    assert store.has_weights(order.start)
    train(again, order)
    run(again)
    assert not store.has_weights(order.start)
    assert store.has_weights(order.key)
