"""Do the probabilities mean what they say? Reliability, its error, and a temperature that mends the worst of it.

Source: Naeini et al. 2015 (expected calibration error); Guo et al. 2017 (temperature scaling, confidence of the decided class).
Differs: for many labels a sample, each label's yes or no is one probability (Guo has classes only).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from study.evidence.evaluation import ratio
from study.evidence.metrics import LabelKind

NUM_BINS = 15
_CLIP = 1e-6  # a probability of 0 or 1 has no logit
_LOG_TEMPERATURES = (-3.0, 3.0)  # temperatures of 0.05 to 20


@dataclass(frozen=True)
class Reliability:
    """The reliability diagram of probabilities against what happened.

    Attributes:
        edges: of the bins, one more than bins.
        count: how many probabilities lie in each bin.
        predicted: their mean in each bin; NaN where it is empty.
        observed: share of them that came true; NaN where it is empty.
        error: expected calibration error, Σ count |observed - predicted| / Σ count; 0 is perfect.
    """

    edges: Float[np.ndarray, " k1"]
    count: Int[np.ndarray, " k"]
    predicted: Float[np.ndarray, " k"]
    observed: Float[np.ndarray, " k"]
    error: float


def reliability(
    happened: Shaped[np.ndarray, " n"], probability: Float[np.ndarray, " n"], num_bins: int = NUM_BINS
) -> Reliability:
    """Bins of equal width over 0 to 1; a probability on an edge belongs to the bin below, 0 to the first.

    Args:
        happened: whether each event came true.
        probability: that was given to it.
        num_bins: number of bins.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    predicted = ratio(np.bincount(place, probability, num_bins), count)
    observed = ratio(np.bincount(place, happened.astype(np.float64), num_bins), count)
    gap = np.where(count > 0, np.abs(observed - predicted), 0)
    return Reliability(edges, count, predicted, observed, float((count * gap).sum() / max(1, count.sum())))


def events_of(
    target: Shaped[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], kind: LabelKind
) -> tuple[Bool[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """What happened and how probable it was called: every label of every sample, or whether the decided class is right."""
    if kind == "multilabel":
        return (target > 0).ravel(), score.ravel()
    decided = score.argmax(axis=1)[:, None]
    return (np.take_along_axis(target, decided, axis=1) > 0)[:, 0], np.take_along_axis(
        score, decided, axis=1
    )[:, 0]


def apply_temperature(
    score: Float[np.ndarray, "n l"], temperature: float, kind: LabelKind
) -> Float[np.ndarray, "n l"]:
    """sigmoid(logit(score) / T) for many labels a sample, softmax(log(score) / T) for classes and grades; order is kept."""
    clipped = np.clip(score.astype(np.float64), _CLIP, 1 - _CLIP)
    scaled: Float[np.ndarray, "n l"]
    scaled = (
        expit(logit(clipped) / temperature)
        if kind == "multilabel"
        else softmax(np.log(clipped) / temperature, axis=1)
    )
    return scaled


def fit_temperature(
    target: Shaped[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], kind: LabelKind
) -> float:
    """The temperature with the smallest negative log-likelihood; above 1: the model was too sure.

    Args:
        target: of the validation split, never the one that is reported.
        score: its probabilities.
        kind: of the task.
    """
    carries = target > 0

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(score, float(np.exp(log_temperature)), kind)
        likelihood = np.where(carries, scaled, 1 - scaled) if kind == "multilabel" else scaled[carries]
        return float(-np.log(np.maximum(likelihood, 1e-300)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))
