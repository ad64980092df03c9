"""Area under the ROC curve and average precision: of one label for many weightings of the samples, or of many labels at once.

The samples are sorted once; a bootstrap resample is a column of multiplicities, so a thousand resamples cost two
cumulative sums instead of a thousand sorts.
"""

import numpy as np
from jaxtyping import Bool, Float


def rank_metrics(
    target: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], weights: Float[np.ndarray, "n b"]
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """AUC = P(score of a positive > score of a negative) + P(equal)/2; AP = Σ_t (recall_t - recall_{t-1}) precision_t over thresholds t.

    Samples of equal score share one threshold, as in scikit-learn. NaN where the weighted samples hold no positive
    (AUC: or no negative).

    Args:
        target: true where the sample carries the label.
        score: any monotone score, greater for the label.
        weights: how often each sample counts, one column for each weighting.

    Returns:
        AUC and AP for each weighting.
    """
    order = np.argsort(-score, kind="stable")
    target, score, weights = target[order], score[order], weights[order]
    positives = np.flatnonzero(target)
    if len(positives) == 0:
        undefined = np.full_like(weights, np.nan, shape=weights.shape[1])
        return undefined, undefined
    ends = (
        np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1) + 1
    )  # one threshold after each group of equal scores
    group = np.searchsorted(ends, positives, side="right")
    last = np.append(
        np.flatnonzero(group[1:] != group[:-1]), len(group) - 1
    )  # only thresholds that gain a positive matter
    group = group[last]
    selected = _running_sum(weights)
    hits = _running_sum(weights[positives])
    after, before = hits[last + 1], hits[np.append(0, last[:-1] + 1)]
    selected_after, selected_before = selected[ends[group]], selected[np.where(group > 0, ends[group - 1], 0)]
    gained = after - before
    false_alarms = (
        selected_after - after + selected_before - before
    ) / 2  # mean over the ties of the threshold
    num_negative = selected[-1] - hits[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = np.einsum("gb,gb->b", gained, num_negative - false_alarms) / (hits[-1] * num_negative)
        precision = np.where(gained > 0, after / selected_after, 0)
        return auc, np.einsum("gb,gb->b", gained, precision) / hits[-1]


def rank_labels(
    target: Bool[np.ndarray, "n l"], score: Float[np.ndarray, "n l"]
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
    """AUC and AP of each label, every sample counting once; the formulas and the undefined values of `rank_metrics`.

    A search over the settings of a head asks for thousands of these, of which each is small.
    """
    n = len(target)
    if n == 0:
        undefined = np.full(target.shape[1], np.nan)
        return undefined, undefined
    order = np.argsort(-score, axis=0, kind="stable")
    score, hits = (
        np.take_along_axis(score, order, axis=0),
        np.cumsum(np.take_along_axis(target, order, axis=0), axis=0, dtype=float),
    )
    ends = np.ones(target.shape, dtype=bool)  # one threshold after each group of equal scores
    ends[:-1] = score[1:] != score[:-1]
    selected = np.arange(1.0, n + 1)[:, None]
    before = np.zeros((2, *target.shape))  # hits and false alarms of the threshold before; both only grow
    for sums, counts in zip(before, (hits, selected - hits), strict=True):
        np.maximum.accumulate(np.where(ends, counts, 0)[:-1], axis=0, out=sums[1:])
    gained = np.where(ends, hits - before[0], 0)
    num_positive = hits[-1]
    num_negative = n - num_positive
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = (gained * (num_negative - (selected - hits + before[1]) / 2)).sum(axis=0) / (
            num_positive * num_negative
        )
        return auc, (gained * hits / selected).sum(axis=0) / num_positive


def _running_sum(values: Float[np.ndarray, "n b"]) -> Float[np.ndarray, "m b"]:
    """Sums of the first 0, 1, … n rows."""
    sums = np.zeros((len(values) + 1, values.shape[1]), values.dtype)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums
