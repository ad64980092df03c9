"""Does our number reproduce a published one?

A verdict is an equivalence test: two one-sided tests at 5 % against a fixed tolerance. Both numbers have an
error: ours is known, and the published one is taken for one training of ours on as many patients as the
paper tested.

Source: Schuirmann 1987 (two one-sided tests).
Differs: nothing.
"""

from dataclasses import dataclass
from math import ceil, isnan, sqrt
from typing import Literal

import numpy as np

from study.evidence.statistics.estimate import NORMAL_REACH, Estimate
from study.evidence.statistics.jackknife import t_quantile

TOLERANCE = 0.05  # of a metric between 0 and 1
_ONE_SIDED = 0.95
POWER = 0.8  # with which an equal number is to be called reproduced

Conclusion = Literal["reproduced", "not reproduced", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said about a published value.

    Attributes:
        conclusion: `reproduced` where the 90 % interval of the difference lies within the tolerance, `not
            reproduced` where it lies wholly outside, else `cannot tell`.
        difference: Our value minus the published one.
        low: Lower end of the difference's 90 % interval; NaN where ours has no interval.
        high: Upper end of the difference's 90 % interval.
        patients: With how many test patients of ours an equal number would be called reproduced in eight of
            ten studies; 0 where no number would do, because the published number's own error and that of our
            seeds are too large, or where it is not known.
    """

    conclusion: Conclusion
    difference: float
    low: float
    high: float
    patients: int


def verdict_on(published: float, ours: Estimate, num_patients: int, num_published: int = 0) -> Verdict:
    """Compares a published value, which comes without an interval of its own, with our estimate.

    Args:
        published: The published value.
        ours: Our estimate.
        num_patients: Number of our test patients.
        num_published: Number of the paper's test patients; 0 where it is not known and taken for ours.
    """
    difference = ours.value - published
    if isnan(ours.low):
        nan = float("nan")
        return Verdict(conclusion="cannot tell", difference=difference, low=nan, high=nan, patients=0)
    one_training = ours.within or _variance_of(ours)
    between = float(np.nan_to_num(ours.between))
    theirs = one_training * num_patients / (num_published or num_patients) + between
    own = ours.deviation.variance if ours.deviation.error else _variance_of(ours)
    reach = t_quantile(_ONE_SIDED, ours.deviation.df)
    half = reach * sqrt(own + theirs)
    low, high = difference - half, difference + half
    conclusion: Conclusion = "cannot tell"
    if low >= -TOLERANCE and high <= TOLERANCE:
        conclusion = "reproduced"
    elif high < -TOLERANCE or low > TOLERANCE:
        conclusion = "not reproduced"
    of_seeds = between / len(ours.by_seed)
    patients = _patients_needed(own - of_seeds, theirs + of_seeds, num_patients)
    return Verdict(conclusion=conclusion, difference=difference, low=low, high=high, patients=patients)


def _variance_of(ours: Estimate) -> float:
    """The variance that would explain the interval of a number that no patient changes."""
    return ((ours.high - ours.low) / (2 * NORMAL_REACH)) ** 2


def _patients_needed(of_patients: float, fixed: float, num_patients: int) -> int:
    """How many patients of ours bring the error down to what the power needs; 0 where none do."""
    reach = t_quantile(_ONE_SIDED, np.inf) + t_quantile((1 + POWER) / 2, np.inf)
    left = (TOLERANCE / reach) ** 2 - fixed
    return ceil(num_patients * of_patients / left) if left > 0 else 0
