"""Holes: one function fills a template, whoever decides."""

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.spec.errors import SpecError
from study.spec.holes import Hole, Preset, corners, fill, find_holes

TEMPLATE: dict[str, Any] = {
    "context": {
        "type": "categorical",
        "choices": [
            "none",
            {"name": "osim", "kernel": {"type": "int", "low": 1, "high": 7, "step": 2}, "mode": "window"},
            {"name": "spp"},
        ],
    },
    "lr": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True},
    "sizes": [8, {"type": "categorical", "choices": [16, 32]}],
    "fixed": {"a": 1},
}


def test_a_branch_exists_only_where_its_choice_is_taken() -> None:
    none = optuna.trial.FixedTrial({"context": "none", "lr": 1e-4, "sizes.1": 16})
    assert fill(TEMPLATE, none) == {"context": "none", "lr": 1e-4, "sizes": [8, 16], "fixed": {"a": 1}}
    osim = optuna.trial.FixedTrial({"context": "osim", "context.osim.kernel": 3, "lr": 1e-4, "sizes.1": 32})
    assert fill(TEMPLATE, osim)["context"] == {"name": "osim", "kernel": 3, "mode": "window"}
    assert set(none.params) == {"context", "lr", "sizes.1"}
    assert set(osim.params) == {"context", "context.osim.kernel", "lr", "sizes.1"}


@given(st.integers(0, 2**32 - 1))
def test_what_was_sampled_is_replayed(seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    filled = fill(TEMPLATE, trial)
    assert fill(TEMPLATE, optuna.trial.FixedTrial(trial.params)) == filled
    assert fill(TEMPLATE, Preset(trial.params)) == filled


def test_corners_take_every_choice_and_both_ends() -> None:
    filled: list[Any] = list(corners(TEMPLATE))
    contexts = [
        value["context"] if isinstance(value["context"], str) else value["context"]["name"]
        for value in filled
    ]
    assert set(contexts) == {"none", "osim", "spp"}
    assert {value["lr"] for value in filled} == {1e-5, 1e-3}
    assert {value["context"]["kernel"] for value in filled if "kernel" in value["context"]} == {1, 3, 5, 7}
    assert {value["sizes"][1] for value in filled} == {16, 32}
    # The first, two contexts, three further values of the kernel, the other ends of the rate and of the size.
    assert len(filled) == 8


def test_every_hole_is_found_with_its_name() -> None:
    assert list(dict(find_holes(TEMPLATE))) == ["context", "context.osim.kernel", "lr", "sizes.1"]


def test_choices_of_one_component_are_told_apart_by_their_settings() -> None:
    hole = Hole.read(
        {"type": "categorical", "choices": [{"name": "osim", "mode": "a"}, {"name": "osim", "mode": "b"}]},
        "context",
    )
    assert hole.choices is not None
    assert list(hole.choices) == ["osim(mode=a)", "osim(mode=b)"]


@pytest.mark.parametrize(
    ("hole", "message"),
    [
        (
            {"type": "flaot", "low": 0, "high": 1},
            r"`x.type`: must be float, int or categorical, got 'flaot'. Did you mean `float`",
        ),
        ({"type": "float", "low": 0}, r"`x.high`: must be given"),
        ({"type": "float", "low": 2, "high": 1}, r"`low` must not exceed `high`"),
        (
            {"type": "float", "low": 0, "high": 1, "log": True},
            r"`x.low`: must be above 0 on a logarithmic scale",
        ),
        ({"type": "int", "low": 0.5, "high": 1}, r"`x.low`: must be a number of type int, got 0.5"),
        (
            {"type": "float", "low": 0, "hihg": 1},
            r"`x.hihg`: unknown key of a float hole. Did you mean `high`",
        ),
        ({"type": "categorical", "choices": []}, r"must be a list with at least one value"),
        ({"type": "categorical", "choices": ["a", "a"]}, r"every choice must stand once, got 'a' twice"),
    ],
)
def test_a_wrong_hole_is_named(hole: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fill({"x": hole}, Preset({}))
