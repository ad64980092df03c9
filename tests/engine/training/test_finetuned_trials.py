"""A trial that goes on from another one's weights begins where that one ended, and trains everything."""

from pathlib import Path
from typing import Any

import pytest
import torch

from study.engine.applying.apply import chosen_trial, predict
from study.engine.orders.messages import Ending
from study.engine.orders.trial_order import TrialOrder
from study.engine.training.session import TrainingSession
from study.engine.training.trial import start_weights
from study.evidence.records import Role
from study.evidence.store import Store
from study.spec.reading import override
from study.spec.study_file import StudySpec
from tests.engine.one_trial import order_of, train_alone, train_whole

CPU = torch.device("cpu")
FIRST, TUNED = "search-00000", "finetune-search-00000"
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {
        "dataset": "odir5k",
        "phantom_patients": 60,
        "image_px": 32,
        "augmentation": {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0},
    },
    "model": {"backbone": {"name": "tiny", "freeze": "all"}},
    "optimiser": {"lr": 1e-2},
    "training": {"epochs": 2, "batch_size": 8},
    "search": {"finetune": {"epochs": 1, "settings": {"data.augmentation.rotate_deg": 10}}},
}
CASES: dict[str, dict[str, Any]] = {
    "pooled": {},
    "components": {"model.backbone.reduce": 8, "model.fusion": "casfm"},
    "leading stages": {"search.finetune.settings": {"model.backbone.freeze": 2}},
    "label sets": {"model.head": "powerset"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("cache")


def orders(**settings: Any) -> tuple[TrialOrder, TrialOrder]:
    """A trial on a frozen backbone, and the one that goes on from it."""
    study = StudySpec.read(override(STUDY, settings))
    first, tuned = study.corners()[0], study.finetuned_trials()[0]
    return order_of(first), order_of(tuned, TUNED, Role.FINETUNE, variant=FIRST)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_it_begins_where_the_trial_ended_and_trains_what_was_frozen(
    settings: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    first, tuned = orders(**settings)
    train_whole(first, tmp_path, cache)
    store = Store(tmp_path)
    value = float(store.read("trial", [FIRST])["value"][0])
    start = start_weights(store, tuned)
    assert start is not None
    session = TrainingSession.from_spec(tuned.trial_spec(), cache, CPU, start=start)
    assert session.evaluate(session.net)[0] == pytest.approx(value, abs=0.01)  # features have 16 bits
    trained = {name for name, parameter in session.net.named_parameters() if parameter.requires_grad}
    frozen = set(dict(session.net.named_parameters())) - trained
    assert any(name.startswith("backbone.net") for name in trained)
    assert bool(frozen) == ("leading stages" in settings or "search.finetune.settings" in settings)
    train_whole(tuned, tmp_path, cache)
    after = start_weights(store, order_of(tuned.trial_spec(), "next", Role.FINETUNE, variant=TUNED))
    assert after is not None
    assert {name for name in trained if torch.equal(start[name], after[name])} == set()
    assert all(torch.equal(start[name], after[name]) for name in frozen)
    means = [name for name in start if name.endswith("running_mean") and name not in frozen]
    assert any(not torch.equal(start[name], after[name]) for name in means)


def test_it_is_used_again_as_any_other_trial(tmp_path: Path, cache: Path) -> None:
    first, tuned = orders(**CASES["components"])
    train_whole(first, tmp_path, cache)
    train_whole(tuned, tmp_path, cache)
    store = Store(tmp_path)
    found = chosen_trial(store, TUNED)
    session = TrainingSession.from_spec(first.trial_spec(), cache, CPU)
    again, _, _ = predict(store, found, session.cohort.pairs, cache)
    stored = store.read("predictions", [TUNED], filters={"head": "network", "split": "test"})
    by_name = dict(zip(again.sample, again.score, strict=True))
    for sample, score in zip(stored["sample"], stored["score"], strict=True):
        assert by_name[sample] == pytest.approx(score, abs=1e-4)
    values = store.read("trial").set_index("trial")["value"]
    assert chosen_trial(store, None).key == values.idxmax()


def test_a_trial_without_weights_cannot_be_gone_on_from(tmp_path: Path, cache: Path) -> None:
    first, tuned = orders()
    train_whole(first, tmp_path, cache)
    Store(tmp_path).delete_weights(FIRST)
    end = train_alone(tuned, tmp_path, cache)
    assert end.ending is Ending.FAILED
    assert "`search-00000`: must have its weights to be fine-tuned" in end.message


def test_the_same_settings_without_the_start_are_another_training() -> None:
    _, tuned = orders()
    scratch = order_of(tuned.trial_spec(), "ablation-t-scratch-s0", Role.ABLATION, variant="scratch")
    other = order_of(tuned.trial_spec(), "finetune-search-00001", Role.FINETUNE, variant="search-00001")
    assert len({order.fingerprint() for order in (tuned, scratch, other)}) == 3
