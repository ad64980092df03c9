import numpy as np
import pytest

from study.evidence.statistics.budgets import budget_curve


def test_the_observed_curve_steps_when_a_trial_ends():
    curve = budget_curve([0.2, 0.1, 0.6], [1.0, 2.0, 3.0])
    assert curve.budget[0] == 0
    assert curve.budget[-1] == 6
    for budget, best in zip(curve.budget, curve.observed, strict=True):
        expected = np.nan if budget < 1 else 0.2 if budget < 6 else 0.6
        np.testing.assert_equal(best, expected)


def test_the_expected_best_of_m_trials_is_the_known_formula():
    values = np.random.default_rng(0).random(20)
    curve = budget_curve(values.tolist(), [1.0] * 20, limit=10.0)
    ordered = np.sort(values)
    for m in (2, 5, 9):
        cumulative = (np.arange(1, 21) / 20) ** m - (np.arange(20) / 20) ** m
        at = np.searchsorted(curve.budget, m)
        assert curve.expected[at] == pytest.approx((ordered * cumulative).sum(), abs=0.02)
    known = ~np.isnan(curve.expected)
    assert (np.diff(curve.expected[known]) >= 0).all()
    assert (curve.low[known] <= curve.expected[known]).all()
    assert (curve.expected[known] <= curve.high[known]).all()


def test_trials_without_a_value_cost_their_budget():
    curve = budget_curve([float("nan"), 0.5], [5.0, 5.0])
    assert np.isnan(curve.observed[curve.budget < 9.99]).all()
    assert curve.observed[-1] == 0.5


def test_a_loss_goes_down():
    curve = budget_curve([0.5, 0.9, 0.1], [1.0] * 3, greater_is_better=False)
    assert curve.observed[-1] == 0.1
    known = ~np.isnan(curve.expected)
    assert (np.diff(curve.expected[known]) <= 0).all()
    assert (curve.low[known] <= curve.high[known]).all()


def test_costs_must_be_above_zero():
    with pytest.raises(ValueError, match="`costs`: must be above 0"):
        budget_curve([0.5], [0.0])
    with pytest.raises(ValueError, match="at least one trial"):
        budget_curve([], [])
