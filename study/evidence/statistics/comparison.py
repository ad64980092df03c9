"""Is one row of a table better than another, on the same patients?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest, rankdata

from study.evidence.statistics.bootstrap import CONFIDENCE, Estimate, interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference of two rows.

    Attributes:
        difference: Value of the row minus that of the reference.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        p_value: Two-sided p-value.
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(row: Estimate, reference: Estimate) -> Comparison:
    """The difference in every resample of the same patients.

    p = 2 min(P(difference ≤ 0), P(difference ≥ 0)), where each share counts one resample more than it has.
    Seeds are drawn alike for both, so equal numbers of seeds are compared seed by seed. Resamples in which
    either has no value are left out; without any, interval and p-value are NaN.

    Args:
        row: Estimate of the row, from `bootstrap.estimate`.
        reference: Estimate of the reference, from the same `Resamples`.
    """
    differences = row.resampled - reference.resampled
    differences = differences[~np.isnan(differences)]
    low, high = interval(differences)
    p_value = float("nan")
    if len(differences):
        tail = min((differences <= 0).sum(), (differences >= 0).sum())
        p_value = float(min(1.0, 2 * (tail + 1) / (len(differences) + 1)))
    return Comparison(difference=row.value - reference.value, low=low, high=high, p_value=p_value)


def delong(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]
) -> Comparison:
    """Difference of two correlated AUCs; normal test with DeLong's covariance of the placement values.

    Source: DeLong, DeLong & Clarke-Pearson 1988; midranks as in Sun & Xu 2014. Each patient must have one
        sample only:
    unlike the paired bootstrap, the test knows nothing of samples that belong together.

    Args:
        target: Whether each sample carries the label.
        score: Scores of the row.
        reference: Scores of the reference for the same samples.

    Returns:
        The comparison. All is NaN where fewer than two samples are with, or without, the label; p is 1 where
        the two never differ.
    """
    carries = target > 0
    if min(carries.sum(), (~carries).sum()) < 2:
        return Comparison(difference=float("nan"), low=float("nan"), high=float("nan"), p_value=float("nan"))
    of_positives, of_negatives = _placements(carries, score)
    reference_of_positives, reference_of_negatives = _placements(carries, reference)
    difference = float(of_positives.mean() - reference_of_positives.mean())
    variance = _variance_of_mean(of_positives - reference_of_positives)
    variance += _variance_of_mean(of_negatives - reference_of_negatives)
    error = float(np.sqrt(variance))
    p_value = float(difference == 0) if error == 0 else float(2 * ndtr(-abs(difference) / error))
    half_width = float(ndtri((1 + CONFIDENCE) / 2)) * error
    return Comparison(
        difference=difference, low=difference - half_width, high=difference + half_width, p_value=p_value
    )


def _variance_of_mean(values: Float[np.ndarray, " n"]) -> float:
    return float(np.var(values, ddof=1) / len(values))


def _placements(
    carries: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " positives"], Float[np.ndarray, " negatives"]]:
    """For each positive the share of negatives below it, and for each negative that of positives above it.

    An equal score counts half.
    """
    num_positive, num_negative = carries.sum(), (~carries).sum()
    among_all = rankdata(score)
    of_positives = (among_all[carries] - rankdata(score[carries])) / num_negative
    of_negatives = 1 - (among_all[~carries] - rankdata(score[~carries])) / num_positive
    return of_positives, of_negatives


def mcnemar(right: Bool[np.ndarray, " n"], reference: Bool[np.ndarray, " n"]) -> float:
    """Two-sided p-value that each of two classifiers is right equally often where the other is wrong.

    Source: McNemar 1947, exact binomial form. Each patient must have one sample only.

    Args:
        right: Whether the row is right about each sample.
        reference: Whether the reference is right about the same samples.
    """
    only_row = int((right & ~reference).sum())
    only_reference = int((~right & reference).sum())
    if only_row + only_reference == 0:
        return 1.0
    return float(binomtest(only_row, only_row + only_reference).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted for their number; NaN is not counted and stays NaN.

    The adjusted i-th smallest of m is the maximum over j ≤ i of (m - j + 1) p_j, at most 1.

    Source: Holm 1979.
    """
    given = np.array(p_values, dtype=np.float64)
    adjusted = np.full(len(given), np.nan)
    order = [i for i in np.argsort(given, kind="stable") if not np.isnan(given[i])]
    steps = [min(1.0, (len(order) - place) * given[i]) for place, i in enumerate(order)]
    if order:
        adjusted[order] = np.maximum.accumulate(steps)
    return [float(p) for p in adjusted]
