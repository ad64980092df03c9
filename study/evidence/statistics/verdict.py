"""Does our number reproduce a published one?

The tolerance is the repeatability limit of ISO 5725: two repetitions of one experiment differ by less
than 1.96 √2 s in 95 % of the cases, where s is the spread that one of our own trainings shows over patients
and seeds. A verdict is an equivalence test against that tolerance: two one-sided tests at 5 %, and so an
interval of 90 %.
"""

from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import Literal

from study.evidence.statistics.bootstrap import Estimate, interval

REPEATABILITY = 1.96 * sqrt(2)
MAX_TOLERANCE = (
    0.05  # of a metric between 0 and 1: on a small test set a wider limit would call all reproduced
)
_EQUIVALENCE_LEVEL = 0.90

Conclusion = Literal["reproduced", "not reproduced", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said about a published value.

    Attributes:
        conclusion: `reproduced` where the 90 % interval of the difference lies within the tolerance, `not
            reproduced` where it lies wholly outside, else `cannot tell`.
        difference: Our value minus the published one.
        low: Lower end of the difference's 90 % interval.
        high: Upper end of the difference's 90 % interval.
        tolerance: The smaller of the repeatability limit and `MAX_TOLERANCE`; NaN where our spread is
            unknown.
    """

    conclusion: Conclusion
    difference: float
    low: float
    high: float
    tolerance: float


def verdict_on(published: float, ours: Estimate) -> Verdict:
    """Compares a published value, which comes without an interval of its own, with our estimate."""
    low, high = (end - published for end in interval(ours.resampled, _EQUIVALENCE_LEVEL))
    difference = ours.value - published
    tolerance = nan
    if not (isnan(low) or isnan(ours.spread) or isnan(difference)):
        tolerance = min(REPEATABILITY * ours.spread, MAX_TOLERANCE)
    conclusion: Conclusion = "cannot tell"
    if -tolerance <= low and high <= tolerance:
        conclusion = "reproduced"
    elif high < -tolerance or low > tolerance:
        conclusion = "not reproduced"
    return Verdict(conclusion=conclusion, difference=difference, low=low, high=high, tolerance=tolerance)
