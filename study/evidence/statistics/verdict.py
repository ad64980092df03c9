"""Does our number reproduce a published one?

The tolerance is the repeatability limit of ISO 5725: two honest repetitions of one experiment differ by less than
1.96 √2 s in 95 % of the cases, where s is the spread that one of our own trainings shows over patients and seeds.
A verdict is an equivalence test (two one-sided tests at 5 %, so a 90 % interval) against that tolerance.
"""

from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import Literal

from study.evidence.statistics.bootstrap import Estimate, interval

REPEATABILITY = 1.96 * sqrt(2)
MAX_TOLERANCE = (
    0.05  # of a metric between 0 and 1: a wider limit would call everything reproduced on a small test set
)
_EQUIVALENCE_LEVEL = 0.90


@dataclass(frozen=True)
class Verdict:
    """What can be said about a published value.

    Attributes:
        verdict: `reproduced`: the 90 % interval of the difference lies within the tolerance; `not reproduced`: it lies
            wholly outside; `cannot tell`: neither.
        difference: ours minus published.
        low: of the difference's 90 % interval.
        high: of the same.
        tolerance: the smaller of the repeatability limit and `MAX_TOLERANCE`.
    """

    verdict: Literal["reproduced", "not reproduced", "cannot tell"]
    difference: float
    low: float
    high: float
    tolerance: float


def judge(ours: Estimate, published: float, max_tolerance: float = MAX_TOLERANCE) -> Verdict:
    """Compares our estimate with a published value that comes without its own interval."""
    low, high = (end - published for end in interval(ours.resampled, _EQUIVALENCE_LEVEL))
    difference = ours.value - published
    if isnan(low) or isnan(ours.spread) or isnan(difference):
        return Verdict("cannot tell", difference, low, high, nan)
    tolerance = min(REPEATABILITY * ours.spread, max_tolerance)
    if -tolerance <= low and high <= tolerance:
        return Verdict("reproduced", difference, low, high, tolerance)
    if high < -tolerance or low > tolerance:
        return Verdict("not reproduced", difference, low, high, tolerance)
    return Verdict("cannot tell", difference, low, high, tolerance)
