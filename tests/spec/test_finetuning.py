"""Fine-tuning of the best trials: what it may change, and of which studies it makes sense."""

from typing import Any

import pytest

from study.spec.errors import SpecError
from study.spec.extending import changes
from study.spec.reading import override
from study.spec.study_file import StudySpec

STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {"backbone": {"name": "tiny", "freeze": "all", "reduce": 8}},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"feature_bank": 4},
    "search": {"trials": 6, "finetune": {"top": 2, "epochs": 5}},
}


def study(**settings: Any) -> StudySpec:
    return StudySpec.read(override(STUDY, settings))


def test_all_of_the_network_is_trained_at_a_share_of_the_rate_on_ever_new_images() -> None:
    settings = {"training.batch_size": 4, "data.augmentation.rotate_deg": 20, "model.backbone.freeze": 2}
    first, last = study().finetuned_trials()
    assert (first.model.backbone.freeze, first.model.backbone.reduce) == ("none", 8)
    assert [trial.optimiser.lr for trial in (first, last)] == pytest.approx([1e-4, 1e-3])
    assert (first.training.epochs, first.training.feature_bank) == (5, 0)
    changed = study(**{"search.finetune.settings": settings}).finetuned_trials()[0]
    assert (changed.training.batch_size, changed.data.augmentation.rotate_deg) == (4, 20)
    assert changed.model.backbone.freeze == 2
    fixed = study(**{"search.finetune.settings": {"optimiser.lr": 0.5}}).finetuned_trials()
    assert {trial.optimiser.lr for trial in fixed} == {0.5}
    assert study().num_finetuned == 2
    assert study(**{"search.trials": 1}).num_finetuned == 1
    assert study(**{"search.finetune": None}).finetuned_trials() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.backbone": "tiny"}, r"`search.finetune`: needs a backbone that is frozen.*freeze: none`"),
        (
            {"model.backbone.freeze": {"type": "categorical", "choices": ["all", "none"]}},
            r"`search.finetune`: needs a backbone that is frozen in every trial",
        ),
        (
            {"search.finetune.settings": {"model.backbone.freeze": "all"}},
            r"must leave less of the backbone frozen.*`model.backbone.freeze: all` after all",
        ),
        (
            {"search.finetune.settings": {"model.fusion": "concat"}},
            r"must leave data, network and loss as they were, got `model.fusion`. Take keys of training",
        ),
        (
            {"search.finetune.settings": {"training.epochs": 3}},
            r"got `training.epochs`. Set search.finetune.epochs",
        ),
        (
            {"search.finetune.settings": {"training.batchsize": 3}},
            r"`search.finetune`: `training.batchsize`: unknown key.*`batch_size`",
        ),
        ({"search.finetune.lr_scale": 1e4}, r"`search.finetune`: `optimiser.lr`"),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        study(**settings)


@pytest.mark.parametrize(
    ("before", "now", "extends"),
    [
        ({"search.finetune": None}, {}, True),
        ({}, {"search.finetune.top": 3}, True),
        ({}, {"search.finetune.top": 1}, False),
        ({}, {"search.finetune.epochs": 6}, False),
        ({}, {"search.finetune.settings": {"training.batch_size": 4}}, False),
    ],
)
def test_more_trials_may_be_fine_tuned_later_but_in_no_other_way(
    before: dict[str, Any], now: dict[str, Any], extends: bool
) -> None:
    found = changes(study(**before).identity(), study(**now).identity())
    assert [change.extends for change in found] == [extends]
