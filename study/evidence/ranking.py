"""Area under the ROC curve and average precision of one label, for many weightings of the samples at once.

The samples are sorted once; a bootstrap resample is a column of multiplicities, so a thousand resamples cost two
cumulative sums instead of a thousand sorts.
"""

import numpy as np
from jaxtyping import Bool, Float

Weights = Float[np.ndarray, "n b"]


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
    total = weights.sum(axis=0)
    if len(positives) == 0:
        return np.full_like(total, np.nan), np.full_like(total, np.nan)
    group = np.concatenate([[0], np.cumsum(score[1:] != score[:-1])])
    last_of_group = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    groups, last_positive = np.unique(group[positives][::-1], return_index=True)  # only thresholds that gain a positive matter
    true_positive = np.cumsum(weights[positives], axis=0)[len(positives) - 1 - last_positive]
    selected = np.vstack([np.zeros_like(total), np.cumsum(weights, axis=0)[last_of_group]])
    before = np.vstack([np.zeros_like(total), true_positive[:-1]])
    gained = true_positive - before
    false_positive = (selected[groups + 1] - true_positive + selected[groups] - before) / 2  # mean over the ties of the threshold
    num_positive = true_positive[-1]
    num_negative = total - num_positive
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = np.einsum("gb,gb->b", gained, num_negative - false_positive) / (num_positive * num_negative)
        precision = np.where(gained > 0, true_positive / selected[groups + 1], 0)
        return auc, np.einsum("gb,gb->b", gained, precision) / num_positive
