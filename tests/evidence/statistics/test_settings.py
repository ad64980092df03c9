from dataclasses import replace

import numpy as np
import pytest

from study.evidence.metrics import metrics_of
from study.evidence.statistics.settings import TRIALS, setting_importance, setting_wins
from study.evidence.statistics.shares import MIN_TRIALS
from tests.evidence.fakes import fake_predictions

NAMES = ["k", "distance", "vote"]
K = np.arange(1, 51)


def settings(
    *, of_trial: float, of_k: float, noise: float = 0.0, num_trials: int = 40, seed: int = 0
) -> np.ndarray:
    """Values of trials at 50 × 2 × 2 settings; each trial has a best K of its own."""
    rng = np.random.default_rng(seed)
    level = of_trial * rng.normal(size=(num_trials, 1))
    best = rng.integers(1, 51, size=(num_trials, 1))
    curve = level - of_k * np.abs(K - best) / 50
    return np.asarray(curve[:, :, None, None] + noise * rng.normal(size=(num_trials, 50, 2, 2)))


def test_the_shares_are_those_of_a_sum_of_effects() -> None:
    rng = np.random.default_rng(1)
    trial, k, distance = rng.normal(size=12), rng.normal(size=50), np.array([0.0, 3.0])
    values = trial[:, None, None, None] + k[:, None, None] + distance[:, None] + np.zeros((12, 50, 2, 2))
    found = setting_importance(values, NAMES, num_resamples=5).set_index("parameter")["importance"]
    total = trial.var() + k.var() + distance.var()
    expected = {TRIALS: trial.var() / total, "k": k.var() / total, "distance": 2.25 / total, "vote": 0}
    assert found.to_dict() == pytest.approx(expected)
    assert list(found) == sorted(found, reverse=True)


def test_k_counts_where_it_matters_though_each_trial_has_a_best_k_of_its_own() -> None:
    found = setting_importance(settings(of_trial=0.02, of_k=1.0, noise=0.02), NAMES).set_index("parameter")
    assert found["above_noise"].to_dict() == {TRIALS: True, "k": True, "distance": False, "vote": False}
    assert found["low"]["k"] > 0.5 > found["high"][TRIALS]


def test_what_differs_between_trials_counts_where_k_does_not_matter() -> None:
    found = setting_importance(settings(of_trial=1.0, of_k=0.0, noise=0.3), NAMES).set_index("parameter")
    assert found["above_noise"].to_dict() == {TRIALS: True, "k": False, "distance": False, "vote": False}
    assert found["importance"][TRIALS] > 0.8
    assert found["importance"]["k"] < found["noise"]["k"] < 0.05


def test_a_parameter_without_effect_is_seldom_above_its_noise() -> None:
    above = [
        setting_importance(
            settings(of_trial=1.0, of_k=0.0, noise=1.0, num_trials=12, seed=seed), NAMES, num_resamples=40
        ).set_index("parameter")["above_noise"][NAMES]
        for seed in range(40)
    ]
    assert np.mean(above) < 0.05


def test_more_settings_of_the_same_trials_say_no_more() -> None:
    few = settings(of_trial=0.3, of_k=1.0, noise=0.1, num_trials=12)
    columns = ["parameter", "importance", "low", "high"]
    once, often = (
        setting_importance(values, NAMES)[columns].set_index("parameter").loc[[TRIALS, *NAMES]]
        for values in (few, np.repeat(few, 7, axis=3))
    )
    np.testing.assert_allclose(once, often, rtol=1e-9)


def test_too_few_trials_and_single_options_say_nothing() -> None:
    values = settings(of_trial=1.0, of_k=1.0, num_trials=MIN_TRIALS)
    assert setting_importance(values[:-1], NAMES).empty
    assert setting_importance(np.ones_like(values), NAMES).empty
    found = setting_importance(values[:, :, :1], NAMES, num_resamples=3)
    assert set(found["parameter"]) == {TRIALS, "k", "vote"}


def test_equally_good_settings_share_a_resample() -> None:
    truth = fake_predictions(num_samples=30)
    perfect = replace(truth, score=truth.target.astype(np.float32))
    poor = replace(truth, score=1 - perfect.score)
    weights = np.random.default_rng(0).integers(0, 3, size=(30, 8)).astype(np.float32)
    metric = metrics_of("multilabel")["macro_average_precision"]
    wins = setting_wins(metric, "multilabel", "f1", [poor, perfect, perfect], weights)
    assert wins.tolist() == [0, 4, 4]
    loss = metrics_of("multilabel")["hamming_loss"]
    assert setting_wins(loss, "multilabel", "f1", [poor, perfect], weights).tolist() == [0, 8]
