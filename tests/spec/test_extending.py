"""More of the same study is accepted, another study never."""

from typing import Any

import pytest

from study.spec.extending import changes
from study.spec.reading import override
from study.spec.study_file import StudySpec

GAMMA = {"type": "float", "low": 1.0, "high": 3.0, "step": 0.5}
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {"backbone": "tiny", "context": {"type": "categorical", "choices": ["none", "osim"]}},
    "loss": {"type": "categorical", "choices": ["bce", {"name": "focal", "gamma": GAMMA}]},
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}, "weight_decay": 0.01},
    "search": {"trials": 6},
    "ablations": {"t": {"seeds": [0], "variants": {"plain": {"model.context": "none"}}}},
}


def difference(settings: dict[str, Any]) -> list[tuple[str, bool]]:
    before, now = (StudySpec.read(override(STUDY, s)).identity() for s in ({}, settings))
    return [(change.key, change.extends) for change in changes(before, now)]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"search.trials": 7}, "search.trials"),
        (
            {"optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True}},
            "template.optimiser.lr",
        ),
        ({"model.context.choices": ["spp", "osim", "none"]}, "template.model.context"),
        ({"loss.choices.1.gamma": {**GAMMA, "low": 0.5}}, "template.loss"),
        ({"ablations.t.seeds": [0, 1]}, "ablations.t.seeds"),
        ({"ablations.t.variants.spp": {"model.context": "spp"}}, "ablations.t.variants.spp"),
        ({"ablations.u": {"variants": {"se": {"model.attention": "se"}}}}, "ablations.u"),
    ],
)
def test_more_of_the_same_extends(settings: dict[str, Any], key: str) -> None:
    assert difference(settings) == [(key, True)]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"search.trials": 5}, "search.trials"),
        ({"search.seed": 1}, "search.seed"),
        ({"optimiser.weight_decay": 0.02}, "template.optimiser.weight_decay"),
        ({"optimiser.lr": 1e-3}, "template.optimiser.lr"),
        (
            {"optimiser.lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}},
            "template.optimiser.lr",
        ),
        ({"optimiser.lr": {"type": "float", "low": 1e-4, "high": 1e-2}}, "template.optimiser.lr"),
        ({"model.context.choices": ["none", "spp"]}, "template.model.context"),
        ({"loss.choices.1.gamma": {**GAMMA, "low": 0.75}}, "template.loss"),
        ({"loss.choices.1.gamma": 2.0}, "template.loss"),
        (
            {"ablations.t.variants.plain": {"model.context": "none", "model.attention": "se"}},
            "ablations.t.variants.plain.model.attention",
        ),
        ({"ablations.t.base": "first"}, "ablations.t.base"),
        ({"ablations.t.seeds": [1]}, "ablations.t.seeds"),
    ],
)
def test_another_study_does_not(settings: dict[str, Any], key: str) -> None:
    assert (key, False) in difference(settings)


def test_a_choice_whose_name_would_change_is_another_one() -> None:
    first = {"name": "osim", "scale_mode": "window"}
    second = {"name": "osim", "scale_mode": "output_size"}
    before, now = (
        StudySpec.read(override(STUDY, {"model.context.choices": ["none", *more]})).identity()
        for more in ([first], [first, second])
    )
    assert [change.extends for change in changes(before, now)] == [False]


def test_the_first_ablation_extends() -> None:
    without = {key: value for key, value in STUDY.items() if key != "ablations"}
    found = changes(StudySpec.read(without).identity(), StudySpec.read(STUDY).identity())
    assert [change.extends for change in found] == [True]
