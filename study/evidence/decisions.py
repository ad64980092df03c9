"""From scores to decisions: which labels a sample is said to carry."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from study.spec.task import LabelKind, ThresholdRule

HALF = 0.5
Decision = Literal["tuned", "half"]
"""At which thresholds: those that the study's rule chose on validation, or one half for every label."""


def decide(
    score: Float[np.ndarray, "n l"], kind: LabelKind, thresholds: float | Float[np.ndarray, " l"]
) -> Bool[np.ndarray, "n l"]:
    """score > threshold for multilabel data; the (first) greatest score for classes and grades.

    Args:
        score: Probability of each label.
        kind: Kind of the labels.
        thresholds: One threshold for all labels or one for each; unused for classes and grades.
    """
    if kind == "multilabel":
        return np.asarray(score > thresholds)
    decision = np.zeros(score.shape, dtype=bool)
    decision[np.arange(len(score)), score.argmax(axis=1)] = True
    return decision


def decide_validation(
    target: Num[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], kind: LabelKind, rule: ThresholdRule
) -> Bool[np.ndarray, "n l"]:
    """The decisions on the very samples that choose the thresholds.

    Args:
        target: 1 where the sample carries the label; of the validation split.
        score: Probability of each label.
        kind: Kind of the labels.
        rule: Rule of the thresholds; unused for classes and grades.
    """
    return decide(score, kind, tune_thresholds(target, score, rule) if kind == "multilabel" else HALF)


def tune_thresholds(
    target: Num[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], rule: ThresholdRule
) -> Float[np.ndarray, " l"]:
    """The best threshold of each label by the rule, midway between two scores.

    `f1` takes the greatest 2 TP / (TP + FP + P), `youden` the greatest TP / P - FP / N. Of equally good
    thresholds the highest is taken. A label without a positive sample keeps 0.5, by `youden` also a label
    without a negative one.

    Args:
        target: 1 where the sample carries the label; of the validation split, never of a split that is
            reported.
        score: Probability of each label.
        rule: The rule; `half` gives 0.5 for every label.

    Source: Youden 1950, Cancer 3:32, for TP / P - FP / N.
    """
    thresholds = np.full(target.shape[1], HALF)
    for label in np.flatnonzero((target > 0).any(axis=0)):
        carries = target[:, label] > 0
        order = np.argsort(-score[:, label], kind="stable")
        hits = np.append(0, np.cumsum(carries[order]))
        if rule == "f1":
            quality = 2 * hits / (np.arange(len(hits)) + hits[-1])
        elif rule == "youden" and not carries.all():
            quality = _youden(hits)
        else:
            continue
        thresholds[label] = _best_threshold(score[order, label].astype(np.float64), quality)
    return thresholds


def _youden(hits: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    """TP / P - FP / N when the first 0, 1, ... samples are called, times P N: whole, so ties are exact."""
    num_called, num_positive = np.arange(len(hits)), hits[-1]
    num_negative = len(hits) - 1 - num_positive
    return np.asarray(hits * num_negative - (num_called - hits) * num_positive)


def _best_threshold(ordered: Float[np.ndarray, " n"], quality: Num[np.ndarray, " k"]) -> float:
    """The threshold of the greatest quality.

    Args:
        ordered: The scores, the greatest first.
        quality: Quality when the first 0, 1, ... n samples are called.
    """
    # Above the highest score stands 1; below the lowest one stands 0, or -1 where it is 0 itself.
    ends = np.concatenate([[1.0], ordered, [float(ordered[-1] > 0) - 1]])
    cut = ends[1:] != ends[:-1]  # samples of equal score get the same decision
    cut[0] = True  # to call nothing is always possible
    best = int(np.argmax(np.where(cut, quality, -np.inf)))
    return float((ends[best] + ends[best + 1]) / 2)
