"""Whether two measurements put the same things in the same order.

Source: Kendall 1938, tau-b with its exact test; scipy's `kendalltau`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau

FEWEST = 5  # of four things the same order comes by chance in 1 of 12 cases, and of five in 1 of 60


@dataclass(frozen=True)
class Agreement:
    """How far two orders agree.

    Attributes:
        tau: Kendall's tau-b in [-1, 1]; NaN where one measurement has one value only.
        p_value: Chance of a tau at least as far from 0 between orders that have nothing to do with each
            other; NaN as above.
        num: Number of things that both measured.
    """

    tau: float
    p_value: float
    num: int


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement | None:
    """The agreement of two measurements of the same things; None of fewer things than `FEWEST`.

    Things that either measurement has no value of (NaN) are left out.
    """
    both = [
        pair for pair in zip(first, second, strict=True) if not (math.isnan(pair[0]) or math.isnan(pair[1]))
    ]
    if len(both) < FEWEST:
        return None
    found = kendalltau(*zip(*both, strict=True))
    return Agreement(float(found.statistic), float(found.pvalue), len(both))
