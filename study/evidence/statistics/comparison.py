"""Is one row of a table better than another, on the same patients?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import ndtr, ndtri, stdtr
from scipy.stats import binomtest, rankdata

from study.evidence.statistics.bootstrap import CONFIDENCE
from study.evidence.statistics.estimate import Estimate
from study.evidence.statistics.jackknife import jackknife

PAIRED = "paired t test over patients (jackknife)"
DELONG = "DeLong's test"
MCNEMAR = "McNemar's exact test"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference of two rows.

    Attributes:
        difference: Value of the row minus that of the reference.
        low: Lower end of the difference's 95 % interval; NaN where none can be given.
        high: Upper end of the difference's 95 % interval.
        p_value: Two-sided p-value; NaN where the two cannot be tested.
        test: Name of the test.
    """

    difference: float
    low: float
    high: float
    p_value: float
    test: str


def paired(row: Estimate, reference: Estimate) -> Comparison:
    """Student's test of the difference on the same patients, and of the same seeds where there are several.

    A p-value has no least value, so that it can pass a correction for any number of comparisons. There is no
    test where a label has too few carriers, and none of a difference that no patient changes. Two rows that
    are equal whichever patients are left out have p = 1.

    Args:
        row: Estimate of the row.
        reference: Estimate of the reference, from the same `LeftOut`.
    """
    difference = row.value - reference.value
    if not (row.support.enough and reference.support.enough) or np.isnan(difference):
        return _untested(difference)
    deviation = jackknife(difference, row.left_out - reference.left_out)
    for variance, num_seeds in between_seeds(row, reference):
        deviation = deviation.plus(variance / num_seeds, num_seeds - 1.0)
    if np.isnan(deviation.variance):
        return _untested(difference)
    if deviation.error == 0:
        same = abs(difference) < 1e-12
        return replace(_untested(difference), p_value=1.0) if same else _untested(difference)
    half = deviation.reach * deviation.error
    p_value = 2 * float(stdtr(deviation.df, -abs(difference) / deviation.error))
    return Comparison(
        difference=difference, low=difference - half, high=difference + half, p_value=p_value, test=PAIRED
    )


def _untested(difference: float) -> Comparison:
    return Comparison(difference=difference, low=nan, high=nan, p_value=nan, test=PAIRED)


def between_seeds(row: Estimate, reference: Estimate) -> list[tuple[float, int]]:
    """Variances between seeds and their numbers of seeds: of the differences where the seeds are the same."""
    if row.by_seed.keys() == reference.by_seed.keys():
        differences = [value - reference.by_seed[seed] for seed, value in row.by_seed.items()]
        return [(float(np.var(differences, ddof=1)), len(differences))] if len(differences) > 1 else []
    several = [of for of in (row, reference) if len(of.by_seed) > 1]
    return [(of.between, len(of.by_seed)) for of in several]


def delong(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]
) -> Comparison:
    """Difference of two correlated AUCs; normal test with DeLong's covariance of the placement values.

    Source: DeLong, DeLong & Clarke-Pearson 1988; midranks as in Sun & Xu 2014. Each patient must have one
        sample only:
    unlike the paired test of `paired`, the test knows nothing of samples that belong together.

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
        return Comparison(difference=nan, low=nan, high=nan, p_value=nan, test=DELONG)
    of_positives, of_negatives = _placements(carries, score)
    reference_of_positives, reference_of_negatives = _placements(carries, reference)
    difference = float(of_positives.mean() - reference_of_positives.mean())
    variance = _variance_of_mean(of_positives - reference_of_positives)
    variance += _variance_of_mean(of_negatives - reference_of_negatives)
    error = float(np.sqrt(variance))
    p_value = float(difference == 0) if error == 0 else float(2 * ndtr(-abs(difference) / error))
    half_width = float(ndtri((1 + CONFIDENCE) / 2)) * error
    low, high = difference - half_width, difference + half_width
    return Comparison(difference=difference, low=low, high=high, p_value=p_value, test=DELONG)


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
