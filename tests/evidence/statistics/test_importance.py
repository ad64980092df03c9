from typing import Any

import numpy as np
import pytest

from study.evidence.statistics.importance import DUMMY, importance
from study.evidence.statistics.shares import MIN_TRIALS

SPACE: dict[str, dict[str, Any]] = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True},
    "fusion": {"type": "categorical", "choices": ["concat", "difference", "gated"]},
    "fusion.gated.depth": {"type": "int", "low": 1, "high": 4, "step": None, "log": False},
    "seed": {"type": "int", "low": 0, "high": 100, "step": 1, "log": False},
    "fixed": {"type": "categorical", "choices": ["only"]},
}


def search(num_trials: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Parameters and values of trials in which only the learning rate matters."""
    rng = np.random.default_rng(0)
    params: list[dict[str, Any]] = []
    values: list[float] = []
    for _ in range(num_trials):
        fusion = SPACE["fusion"]["choices"][rng.integers(3)]
        made: dict[str, Any] = {
            "lr": float(10 ** rng.uniform(-5, -2)),
            "fusion": fusion,
            "seed": int(rng.integers(101)),
            "fixed": "only",
        }
        if fusion == "gated":
            made["fusion.gated.depth"] = int(rng.integers(1, 5))
        params.append(made)
        values.append(float(-abs(np.log10(made["lr"]) + 3) + 0.05 * rng.normal()))
    return params, values


def test_only_the_parameter_with_an_effect_rises_above_the_noise() -> None:
    params, values = search(120)
    found = importance(params, values, SPACE, num_resamples=30).set_index("parameter")
    assert set(found.index) == {*SPACE, DUMMY}
    assert found.index[0] == "lr"
    assert found["above_noise"].tolist() == [True] + [False] * 5
    low, middle, high = (found[column]["lr"] for column in ("low", "importance", "high"))
    assert low <= middle <= high
    assert found["high"]["fixed"] == 0
    assert (found["noise"] < 0.5).all()
    assert found["noise"]["fixed"] == 0


def test_a_strong_parameter_is_found_among_forty_trials() -> None:
    params, values = search(40)
    found = importance(params, values, SPACE, num_resamples=30).set_index("parameter")
    assert found["above_noise"]["lr"]
    assert found["noise"]["lr"] < found["importance"]["lr"]


def test_too_few_or_equal_values_say_nothing() -> None:
    params, values = search(MIN_TRIALS)
    assert importance(params[:-1], values[:-1], SPACE).empty
    assert importance(params, [*values[:-1], float("nan")], SPACE).empty
    assert importance(params, [0.5] * MIN_TRIALS, SPACE).empty
    assert not importance(params, values, SPACE, num_resamples=3).empty


def test_what_the_space_does_not_know_is_left_out() -> None:
    params, values = search(20)
    found = importance([p | {"other": 3} for p in params], values, SPACE, num_resamples=3)
    assert "other" not in set(found["parameter"])


def test_the_same_seed_gives_the_same_table() -> None:
    params, values = search(20)
    first, second = (importance(params, values, SPACE, num_resamples=4, seed=1) for _ in range(2))
    assert first.equals(second)
    assert first["importance"].sum() == pytest.approx(1, abs=0.3)
