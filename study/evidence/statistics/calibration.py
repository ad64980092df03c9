"""Do events happen as often as their probabilities say? Reliability, and a temperature that improves it.

Source: Naeini et al. 2015 (expected calibration error); Guo et al. 2017 (temperature scaling, confidence of
the decided class).
Differs: for multilabel data, each label's yes or no is one probability (Guo has classes only).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from study.evidence.evaluation import ratio
from study.spec.task import LabelKind

NUM_BINS = 15
NUM_DRAWS = 200  # of what would happen if every probability were right
_CLIP = 1e-6  # a probability of 0 or 1 has no logit
_LOG_TEMPERATURES = (-3.0, 3.0)  # temperatures of 0.05 to 20


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The reliability diagram of probabilities against what happened.

    Attributes:
        edges: Edges of the bins, one more than bins.
        count: Number of probabilities in each bin.
        predicted: Mean probability in each bin; NaN where the bin is empty.
        observed: Share of the bin's events that happened; NaN where the bin is empty.
        error: Expected calibration error, Σ count |observed - predicted| / Σ count; 0 is perfect.
        floor: What the error is at most in 95 % of the cases where every probability is right: fewer events
            have a greater one.
    """

    edges: Float[np.ndarray, " k1"]
    count: Int[np.ndarray, " k"]
    predicted: Float[np.ndarray, " k"]
    observed: Float[np.ndarray, " k"]
    error: float
    floor: float


def reliability(
    happened: Shaped[np.ndarray, " n"], probability: Float[np.ndarray, " n"], num_bins: int = NUM_BINS
) -> Reliability:
    """The diagram with bins of equal width over 0 to 1; a probability on an edge is in the bin below it.

    Args:
        happened: Whether each event happened.
        probability: Probability that was given to each event.
        num_bins: Number of bins.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    bin_of = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, num_bins - 1)
    count = np.bincount(bin_of, minlength=num_bins)
    predicted = ratio(np.bincount(bin_of, probability, num_bins), count)
    num_happened = np.bincount(bin_of, happened.astype(np.float64), num_bins)
    expected = np.bincount(bin_of, probability, num_bins)
    drawn = np.random.default_rng(0).random((NUM_DRAWS, len(probability))) < probability
    num_drawn = np.stack([np.bincount(bin_of, draw, num_bins) for draw in drawn])
    of_draws = np.abs(num_drawn - expected).sum(axis=1) / max(1, count.sum())
    return Reliability(
        edges=edges,
        count=count,
        predicted=predicted,
        observed=ratio(num_happened, count),
        error=float(np.abs(num_happened - expected).sum() / max(1, count.sum())),
        floor=float(np.quantile(of_draws, 0.95)),
    )


def events_of(
    target: Shaped[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], kind: LabelKind
) -> tuple[Bool[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Whether each event happened, and its probability.

    An event is that a sample carries a label, for every sample and label of multilabel data, or else that the
    decided class of a sample is right.
    """
    if kind == "multilabel":
        return (target > 0).ravel(), score.ravel()
    decided = score.argmax(axis=1)[:, None]
    happened = np.take_along_axis(target, decided, axis=1) > 0
    return happened[:, 0], np.take_along_axis(score, decided, axis=1)[:, 0]


def apply_temperature(
    score: Float[np.ndarray, "n l"], temperature: float, kind: LabelKind
) -> Float[np.ndarray, "n l"]:
    """sigmoid(logit(score) / T) for multilabel data, softmax(log(score) / T) for classes and grades."""
    clipped = np.clip(score.astype(np.float64), _CLIP, 1 - _CLIP)
    if kind == "multilabel":
        return np.asarray(expit(logit(clipped) / temperature))
    return np.asarray(softmax(np.log(clipped) / temperature, axis=1))


def fit_temperature(
    target: Shaped[np.ndarray, "n l"], score: Float[np.ndarray, "n l"], kind: LabelKind
) -> float:
    """The temperature with the smallest negative log-likelihood; above 1 where scores were too extreme.

    Args:
        target: Labels of the validation split, never of a split that is reported.
        score: Probabilities of the same samples.
        kind: Kind of the labels.
    """
    carries = target > 0

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(score, float(np.exp(log_temperature)), kind)
        likelihood = np.where(carries, scaled, 1 - scaled) if kind == "multilabel" else scaled[carries]
        return float(-np.log(np.maximum(likelihood, 1e-300)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))
