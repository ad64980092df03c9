import numpy as np
import pytest

from study.evidence.statistics.budgets import budget_curve


def test_the_observed_curve_steps_when_a_trial_ends() -> None:
    curve = budget_curve([0.2, 0.1, 0.6], [1.0, 2.0, 3.0])
    assert curve.budget[0] == 0
    assert curve.budget[-1] == 6
    expected = np.select([curve.budget < 1, curve.budget < 6], [np.nan, 0.2], 0.6)
    np.testing.assert_array_equal(curve.observed, expected)


def test_half_of_the_random_orders_reach_the_median() -> None:
    values = np.random.default_rng(0).random(20)
    curve = budget_curve(values.tolist(), [1.0] * 20, limit=10.0)
    ordered = np.sort(values)
    for m in (2, 5, 9):
        below = (np.arange(1, 21) / 20) ** m  # probability that the best of m is one of the i smallest
        at = np.searchsorted(curve.budget, m)
        near = ordered[np.searchsorted(below, [0.45, 0.55])]
        assert near[0] <= curve.median[at] <= near[1]
    known = ~np.isnan(curve.median)
    assert (np.diff(curve.median[known]) >= 0).all()
    assert (curve.low[known] <= curve.median[known]).all()
    assert (curve.median[known] <= curve.high[known]).all()


def test_an_order_without_a_value_is_below_the_others() -> None:
    # Half of the orders need more than two trials to meet a value.
    curve = budget_curve([0.3, 0.7, *[float("nan")] * 6], [1.0] * 8)
    one, eight = np.searchsorted(curve.budget, 1.0), -1
    assert np.isnan(curve.median[one])
    assert curve.low[one] == curve.low[eight] == 0.3
    assert curve.high[one] == 0.7
    assert curve.median[eight] in (0.3, 0.7)
    assert np.isnan(curve.high[0])


def test_trials_without_a_value_cost_their_budget() -> None:
    curve = budget_curve([float("nan"), 0.5], [5.0, 5.0])
    assert np.isnan(curve.observed[curve.budget < 9.99]).all()
    assert curve.observed[-1] == 0.5


def test_costs_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="`costs`: must be above 0"):
        budget_curve([0.5], [0.0])
    with pytest.raises(ValueError, match="at least one trial"):
        budget_curve([], [])
