"""From scores to decisions: which labels a sample is said to carry."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Num

HALF = 0.5


def decide(
    score: Float[np.ndarray, "n l"],
    kind: Literal["multilabel", "classes", "grades"],
    threshold: float | Float[np.ndarray, " l"] = HALF,
) -> Bool[np.ndarray, "n l"]:
    """score > threshold for many labels a sample; the greatest score (the first of equal ones) for classes and grades.

    Args:
        score: probability of each label.
        kind: how many labels a sample carries.
        threshold: one for all labels or one a label; unused for classes and grades.
    """
    if kind == "multilabel":
        return np.asarray(score > threshold)
    decision = np.zeros(score.shape, dtype=bool)
    decision[np.arange(len(score)), score.argmax(axis=1)] = True
    return decision


def tune_thresholds(
    target: Num[np.ndarray, "n l"], score: Float[np.ndarray, "n l"]
) -> Float[np.ndarray, " l"]:
    """The threshold of each label with the greatest F1 = 2 TP / (TP + FP + P), midway between two neighbouring scores.

    Of equally good thresholds the highest is taken. A label without a positive sample keeps 0.5.

    Args:
        target: 1 where the sample carries the label; must be the validation split, never the one that is reported.
        score: probability of each label.
    """
    thresholds = np.full(target.shape[1], HALF)
    for label in np.flatnonzero((target > 0).any(axis=0)):
        order = np.argsort(-score[:, label], kind="stable")
        ordered = score[order, label].astype(np.float64)
        hits = np.cumsum(target[order, label] > 0)
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + hits[-1])
        cut = np.append(ordered[1:] != ordered[:-1], True)  # samples of equal score are decided alike
        best = int(np.argmax(np.where(cut, f1, -1)))
        below = (
            ordered[best + 1] if best + 1 < len(ordered) else float(ordered[best] > 0) - 1
        )  # 0, or under a score of 0
        thresholds[label] = (ordered[best] + below) / 2
    return thresholds
