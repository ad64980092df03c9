"""Sensitivity at a fixed specificity: how many patients are found when only so many healthy ones may be alarmed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it reaches; a sample is called positive when score > threshold."""

    threshold: float
    sensitivity: float
    specificity: float


def roc_points(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """All thresholds from +∞ down, with the sensitivity and the specificity of score > threshold.

    The points start at (0, 1); one more point stands between every two neighbouring scores and under the lowest one.

    Raises:
        ValueError: the target holds no sample with, or no sample without, the label.
    """
    carries = target > 0
    if carries.all() or not carries.any():
        raise ValueError("`target`: must hold samples with and without the label.")
    order = np.argsort(-score, kind="stable")
    ordered, carries = score[order].astype(np.float64), carries[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    below = np.append(ordered[last[:-1] + 1], -np.inf)
    thresholds = np.append(np.inf, np.where(np.isinf(below), -np.inf, (ordered[last] + below) / 2))
    num_negative = (~carries).sum()
    sensitivity = np.append(0, np.cumsum(carries)[last] / carries.sum())
    specificity = np.append(num_negative, num_negative - np.cumsum(~carries)[last]) / num_negative
    return thresholds, sensitivity, specificity


def at_specificity(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], specificity: float
) -> OperatingPoint:
    """The point of greatest sensitivity whose specificity is at least the wanted one.

    Args:
        target: whether each sample carries the label; of the validation split when the threshold is to be used elsewhere.
        score: probability of the label.
        specificity: wanted, 0 to 1.

    Raises:
        ValueError: the target holds no sample with, or no sample without, the label.
    """
    thresholds, found, kept = roc_points(target, score)
    best = int(np.flatnonzero(kept >= specificity)[-1])
    return OperatingPoint(float(thresholds[best]), float(found[best]), float(kept[best]))


def at_threshold(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], threshold: float
) -> OperatingPoint:
    """What a threshold, chosen elsewhere, reaches here; NaN where there is no sample with, or without, the label."""
    carries, called = target > 0, score > threshold
    sensitivity = called[carries].mean() if carries.any() else np.nan
    specificity = (~called[~carries]).mean() if not carries.all() else np.nan
    return OperatingPoint(threshold, float(sensitivity), float(specificity))
