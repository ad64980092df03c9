"""Sensitivity at a fixed specificity: how many patients are found at a given rate of false alarms."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it reaches; a sample is said to carry the label when score > threshold.

    Attributes:
        threshold: The threshold.
        sensitivity: Share of the samples with the label that are said to carry it.
        specificity: Share of the other samples that are not.
    """

    threshold: float
    sensitivity: float
    specificity: float


def roc_points(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """All thresholds from +∞ down, with the sensitivity and the specificity of score > threshold.

    The points start at (0, 1). The others stand between every two neighbouring scores and under the lowest
    one.

    Args:
        target: Whether each sample carries the label.
        score: Probability of the label.

    Returns:
        Thresholds, sensitivities and specificities.

    Raises:
        ValueError: The target holds no sample with, or no sample without, the label.
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
        target: Whether each sample carries the label; of the validation split where another split uses the
            threshold.
        score: Probability of the label.
        specificity: Wanted specificity, 0 to 1.

    Raises:
        ValueError: The target holds no sample with, or no sample without, the label.
    """
    thresholds, sensitivities, specificities = roc_points(target, score)
    best = int(np.flatnonzero(specificities >= specificity)[-1])
    return OperatingPoint(float(thresholds[best]), float(sensitivities[best]), float(specificities[best]))


def at_threshold(
    target: Shaped[np.ndarray, " n"], score: Float[np.ndarray, " n"], threshold: float
) -> OperatingPoint:
    """What a given threshold reaches; NaN where there is no sample with, or without, the label."""
    carries, decided = target > 0, score > threshold
    sensitivity = decided[carries].mean() if carries.any() else np.nan
    specificity = (~decided[~carries]).mean() if not carries.all() else np.nan
    return OperatingPoint(threshold, float(sensitivity), float(specificity))
