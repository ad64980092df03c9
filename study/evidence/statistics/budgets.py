"""The best value so far against what it cost: were two methods given the same budget?

Source: Dodge et al. 2019, Show your work (expected best of m trials drawn at random from those that were run).
Differs: the cost may be trials, seconds or GPU hours; the median and a band of random orders instead of the mean, since some
orders have no value yet: theirs is below every other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from study.evidence.statistics.bootstrap import CONFIDENCE

NUM_ORDERS = 500
NUM_POINTS = 60


@dataclass(frozen=True)
class BudgetCurve:
    """Best value so far at each budget.

    Attributes:
        budget: from 0 to the whole cost.
        observed: in the order in which the trials were run; NaN before the first one ended.
        median: over random orders of the same trials (with replacement): what half of them reach; NaN while half have no value.
        low: lower end of the orders' 95 % band; the end on the worse side is the worst trial's value while orders there have none.
        high: its upper end.
    """

    budget: Float[np.ndarray, " p"]
    observed: Float[np.ndarray, " p"]
    median: Float[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]


def budget_curve(
    values: Sequence[float],
    costs: Sequence[float],
    limit: float | None = None,
    greater_is_better: bool = True,
    seed: int = 0,
) -> BudgetCurve:
    """The curve of one method.

    Args:
        values: of its trials in the order they ended; NaN for a trial that cost something and gave nothing (pruned, failed).
        costs: of the same trials: 1 for a count of trials, else seconds or GPU hours.
        limit: the last budget, to compare methods on equal ground; the sum of the costs when left out.
        greater_is_better: whether the objective is maximised.
        seed: of the random orders.

    Raises:
        ValueError: no trials, or a cost that is not above 0.
    """
    value, cost = np.array(values, dtype=np.float64), np.array(costs, dtype=np.float64)
    if not len(value) or not (cost > 0).all():
        raise ValueError("`costs`: must be above 0, one for each of at least one trial.")
    sign = 1.0 if greater_is_better else -1.0
    gained = np.where(np.isnan(value), -np.inf, sign * value)
    budget = np.linspace(0, cost.sum() if limit is None else limit, NUM_POINTS)
    orders = np.random.default_rng(seed).integers(0, len(value), (NUM_ORDERS, len(value)))
    curves = np.stack([_best_so_far(gained[order], cost[order], budget) for order in orders])
    worse, median, better = np.quantile(
        curves, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2], axis=0, method="inverted_cdf"
    )
    worst = gained[np.isfinite(gained)].min(initial=np.inf)
    worse = np.where(np.isfinite(better), np.maximum(worse, worst), -np.inf)
    low, high = (worse, better) if greater_is_better else (better, worse)
    observed = _best_so_far(gained, cost, budget)
    return BudgetCurve(
        budget, *(np.where(np.isfinite(row), sign * row, np.nan) for row in (observed, median, low, high))
    )


def _best_so_far(
    gained: Float[np.ndarray, " t"], cost: Float[np.ndarray, " t"], budget: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """Greatest of the trials that have ended within each budget; -∞ where none has."""
    best = np.append(-np.inf, np.maximum.accumulate(gained))
    return np.asarray(best[np.searchsorted(np.cumsum(cost) * (1 - 1e-12), budget, side="right")])
