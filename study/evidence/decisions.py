"""From scores to decisions: which labels a sample is said to carry."""

import numpy as np
from jaxtyping import Bool, Float, Num

from study.spec.task import LabelKind

HALF = 0.5


def decide(
    score: Float[np.ndarray, "n l"],
    kind: LabelKind,
    threshold: float | Float[np.ndarray, " l"] = HALF,
) -> Bool[np.ndarray, "n l"]:
    """score > threshold for multilabel data; the (first) greatest score for classes and grades.

    Args:
        score: Probability of each label.
        kind: Kind of the labels.
        threshold: One threshold for all labels or one for each; unused for classes and grades.
    """
    if kind == "multilabel":
        return np.asarray(score > threshold)
    decision = np.zeros(score.shape, dtype=bool)
    decision[np.arange(len(score)), score.argmax(axis=1)] = True
    return decision


def tune_thresholds(
    target: Num[np.ndarray, "n l"], score: Float[np.ndarray, "n l"]
) -> Float[np.ndarray, " l"]:
    """The threshold of each label with the greatest F1 = 2 TP / (TP + FP + P), midway between two scores.

    Of equally good thresholds the highest is taken. A label without a positive sample keeps 0.5.

    Args:
        target: 1 where the sample carries the label; of the validation split, never of a split that is
            reported.
        score: Probability of each label.
    """
    thresholds = np.full(target.shape[1], HALF)
    for label in np.flatnonzero((target > 0).any(axis=0)):
        order = np.argsort(-score[:, label], kind="stable")
        ordered = score[order, label].astype(np.float64)
        hits = np.cumsum(target[order, label] > 0)
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + hits[-1])
        cut = np.append(ordered[1:] != ordered[:-1], True)  # samples of equal score get the same decision
        best = int(np.argmax(np.where(cut, f1, -1)))
        # Below the lowest score stands 0, or -1 where the lowest score itself is 0.
        scores_and_end = np.append(ordered, float(ordered[-1] > 0) - 1)
        below = scores_and_end[best + 1]
        thresholds[label] = (ordered[best] + below) / 2
    return thresholds
