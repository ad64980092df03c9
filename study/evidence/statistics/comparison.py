"""Is one row of a table better than another, on the same patients?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest, rankdata

from study.evidence.statistics.bootstrap import Estimate, interval


@dataclass(frozen=True)
class Comparison:
    """A difference (row minus reference) with its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(row: Estimate, reference: Estimate) -> Comparison:
    """Difference in every resample of the same patients; p = 2 min(P(difference ≤ 0), P(difference ≥ 0)), counting one more.

    Seeds are drawn alike for both, so equal numbers of seeds are compared seed by seed. Resamples in which either has no
    value are left out; without any, interval and p-value are NaN.

    Args:
        row: from `bootstrap.estimate`.
        reference: from the same `Resamples`.
    """
    differences = row.resampled - reference.resampled
    differences = differences[~np.isnan(differences)]
    low, high = interval(differences)
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (len(differences) + 1)) if len(differences) else float("nan")
    return Comparison(row.value - reference.value, low, high, float(p_value))


def delong(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]
) -> Comparison:
    """Difference of two correlated AUCs; normal test with DeLong's covariance of the placement values.

    Source: DeLong, DeLong & Clarke-Pearson 1988; midranks as in Sun & Xu 2014. Needs one sample a patient: it knows
    nothing of clusters (the paired bootstrap does).

    Args:
        target: whether each sample carries the label.
        score: of the row.
        reference: scores of the reference row for the same samples.

    Returns:
        NaN interval and p-value where the target holds fewer than two samples with or without the label; p = 1 where
        the two never differ.
    """
    carries = target > 0
    if min(carries.sum(), (~carries).sum()) < 2:
        return Comparison(float("nan"), float("nan"), float("nan"), float("nan"))
    placed = [_placements(carries, s) for s in (score, reference)]
    difference = float(placed[0][0].mean() - placed[1][0].mean())
    variance = sum(np.var(a - b, ddof=1) / len(a) for a, b in zip(*placed, strict=True))
    error = float(np.sqrt(variance))
    if error == 0:
        return Comparison(difference, difference, difference, float(difference == 0))
    half_width = float(ndtri(0.975)) * error
    return Comparison(
        difference,
        difference - half_width,
        difference + half_width,
        float(2 * ndtr(-abs(difference) / error)),
    )


def _placements(
    carries: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " positives"], Float[np.ndarray, " negatives"]]:
    """For each positive the share of negatives below it, for each negative the share of positives above it (ties half)."""
    num_positive, num_negative = carries.sum(), (~carries).sum()
    among_all = rankdata(score)
    of_positives = (among_all[carries] - rankdata(score[carries])) / num_negative
    of_negatives = 1 - (among_all[~carries] - rankdata(score[~carries])) / num_positive
    return of_positives, of_negatives


def mcnemar(right: Bool[np.ndarray, " n"], reference: Bool[np.ndarray, " n"]) -> float:
    """Exact two-sided binomial p-value that each of two classifiers is right where the other is wrong equally often.

    Source: McNemar 1947, exact form. Needs one sample a patient.

    Args:
        right: whether the row is right about each sample.
        reference: whether the reference is right about the same samples.
    """
    only_row, only_reference = int((right & ~reference).sum()), int((~right & reference).sum())
    if only_row + only_reference == 0:
        return 1.0
    return float(binomtest(only_row, only_row + only_reference).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p of the i-th smallest of m = max over j ≤ i of (m - j + 1) p_j, at most 1; NaN stays out and stays NaN.

    Source: Holm 1979.
    """
    given = np.array(p_values, dtype=np.float64)
    adjusted = np.full(len(given), np.nan)
    order = [i for i in np.argsort(given, kind="stable") if not np.isnan(given[i])]
    steps = [min(1.0, (len(order) - place) * given[i]) for place, i in enumerate(order)]
    if order:
        adjusted[order] = np.maximum.accumulate(steps)
    return [float(p) for p in adjusted]
