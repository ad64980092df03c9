"""Area under the ROC curve (AUC) and average precision (AP).

They are computed for one label under many weightings of the samples, or for many labels at once. The samples
are sorted once; a bootstrap resample is a column of multiplicities, so a thousand resamples cost two
cumulative sums instead of a thousand sorts.
"""

import numpy as np
from jaxtyping import Bool, Float


def rank_metrics(
    target: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], weights: Float[np.ndarray, "n b"]
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """AUC and AP of one label under many weightings of the samples.

    AUC = P(score of a positive > score of a negative) + P(equal) / 2;
    AP = Σ_t (recall_t - recall_{t-1}) precision_t over the thresholds t.

    Samples of equal score share one threshold, as in scikit-learn. Both values are NaN where the weighted
    samples hold no positive, and the AUC also where they hold no negative.

    Args:
        target: True where the sample carries the label.
        score: Any score that is greater where the label is more probable.
        weights: How often each sample counts, one column for each weighting.

    Returns:
        AUC and AP of each weighting.
    """
    order = np.argsort(-score, kind="stable")
    target, score, weights = target[order], score[order], weights[order]
    positives = np.flatnonzero(target)
    if len(positives) == 0:
        undefined = np.full_like(weights, np.nan, shape=weights.shape[1])
        return undefined, undefined
    # One threshold stands after each group of equal scores.
    ends = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1) + 1
    group = np.searchsorted(ends, positives, side="right")
    # Only the thresholds that gain a positive change a value.
    last = np.append(np.flatnonzero(group[1:] != group[:-1]), len(group) - 1)
    group = group[last]
    selected = _running_sum(weights)
    hits = _running_sum(weights[positives])
    after = hits[last + 1]
    before = hits[np.append(0, last[:-1] + 1)]
    selected_after = selected[ends[group]]
    selected_before = selected[np.where(group > 0, ends[group - 1], 0)]
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
    """AUC and AP of each label with the formulas of `rank_metrics`, where every sample counts once.

    A search over the settings of a head asks for thousands of these values, each over few samples.
    """
    n = len(target)
    if n == 0:
        undefined = np.full(target.shape[1], np.nan)
        return undefined, undefined
    order = np.argsort(-score, axis=0, kind="stable")
    score = np.take_along_axis(score, order, axis=0)
    hits = np.cumsum(np.take_along_axis(target, order, axis=0), axis=0, dtype=float)
    ends = np.ones(target.shape, dtype=bool)  # one threshold stands after each group of equal scores
    ends[:-1] = score[1:] != score[:-1]
    selected = np.arange(1.0, n + 1)[:, None]
    hits_before = _at_threshold_before(hits, ends)
    false_alarms_before = _at_threshold_before(selected - hits, ends)
    gained = np.where(ends, hits - hits_before, 0)
    num_positive = hits[-1]
    num_negative = n - num_positive
    false_alarms = (selected - hits + false_alarms_before) / 2  # mean over the ties of the threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = (gained * (num_negative - false_alarms)).sum(axis=0) / (num_positive * num_negative)
        return auc, (gained * hits / selected).sum(axis=0) / num_positive


def _at_threshold_before(
    counts: Float[np.ndarray, "n l"], ends: Bool[np.ndarray, "n l"]
) -> Float[np.ndarray, "n l"]:
    """The count at the threshold before each row; counts never fall, so it is the greatest one so far."""
    before = np.zeros(counts.shape)
    np.maximum.accumulate(np.where(ends, counts, 0)[:-1], axis=0, out=before[1:])
    return before


def _running_sum(values: Float[np.ndarray, "n b"]) -> Float[np.ndarray, "m b"]:
    """The sums of the first 0, 1, … n rows."""
    sums = np.zeros((len(values) + 1, values.shape[1]), values.dtype)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums
