"""The best value so far against what it cost, so that methods can be compared on the same budget.

Source: Dodge et al. 2019, Show your work (expected best of m trials drawn at random from those that were
run).
Differs: the cost may be trials, seconds or GPU hours; the median and a band of random orders replace the
mean, because some orders have no value yet, which counts as worse than any value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from study.evidence.statistics.bootstrap import CONFIDENCE

NUM_ORDERS = 500
NUM_POINTS = 60


@dataclass(frozen=True, kw_only=True)
class BudgetCurve:
    """Best value so far at each budget.

    Attributes:
        budget: Budgets from 0 to the whole cost.
        observed: Best value in the order in which the trials were run; NaN before the first trial ended.
        median: Value that half of the random orders of the trials (drawn with replacement) reach; NaN while
            half of them have no value.
        low: Lower end of the orders' 95 % band. The end on the worse side is the worst trial's value while
            orders there have none.
        high: Upper end of the orders' 95 % band.
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
) -> BudgetCurve:
    """The curve of one method.

    Args:
        values: Values of its trials in the order in which they ended; NaN for a trial that cost something and
            gave nothing (pruned, failed).
        costs: Costs of the same trials: 1 each for a count of trials, else seconds or GPU hours.
        limit: The last budget, to compare methods on the same one; the sum of the costs when left out.

    Raises:
        ValueError: There are no trials, or a cost is not above 0.
    """
    value, cost = np.array(values, dtype=np.float64), np.array(costs, dtype=np.float64)
    if not len(value) or not (cost > 0).all():
        raise ValueError("`costs`: must be above 0, one for each of at least one trial.")
    gained = np.where(np.isnan(value), -np.inf, value)
    budget = np.linspace(0, cost.sum() if limit is None else limit, NUM_POINTS)
    orders = np.random.default_rng(0).integers(0, len(value), (NUM_ORDERS, len(value)))
    curves = np.stack([_best_so_far(gained[order], cost[order], budget) for order in orders])
    shares = [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2]
    worse, median, better = np.quantile(curves, shares, axis=0, method="inverted_cdf")
    worst = gained[np.isfinite(gained)].min(initial=np.inf)
    worse = np.where(np.isfinite(better), np.maximum(worse, worst), -np.inf)
    return BudgetCurve(
        budget=budget,
        observed=_as_values(_best_so_far(gained, cost, budget)),
        median=_as_values(median),
        low=_as_values(worse),
        high=_as_values(better),
    )


def _best_so_far(
    gained: Float[np.ndarray, " t"], cost: Float[np.ndarray, " t"], budget: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """The greatest gain of the trials that have ended within each budget; -∞ where none has."""
    best = np.append(-np.inf, np.maximum.accumulate(gained))
    return np.asarray(best[np.searchsorted(np.cumsum(cost) * (1 - 1e-12), budget, side="right")])


def _as_values(gained: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    return np.where(np.isfinite(gained), gained, np.nan)
