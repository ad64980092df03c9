"""Logistic regression of all labels at once, for several penalties.

Differs: scikit-learn fits one label after the other; the optimum is the same, found several times faster.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Float, Num
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import ThreadpoolController

_GRADIENT = 1e-3  # of a sum over the samples: where it is smaller, the scores move by less than 0.001
_MAX_STEPS = 300


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """The minimum of c Σ loss(x W + w0, target) + ‖W‖² / 2, on features scaled to mean 0 and variance 1.

    Attributes:
        weights: W, one column for each label.
        intercept: w0.
        centre: Mean of each feature over the training samples.
        spread: Standard deviation of each feature over the training samples.
        exclusive: Whether a sample carries exactly one label: softmax over the labels instead of a sigmoid
            for each.
    """

    weights: Float[np.ndarray, "d l"]
    intercept: Float[np.ndarray, " l"]
    centre: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    exclusive: bool

    def predict(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n l"]:
        """The probability of each label."""
        logits = (features - self.centre) / self.spread @ self.weights + self.intercept
        probability: Float[np.ndarray, "n l"] = softmax(logits, axis=1) if self.exclusive else expit(logits)
        return probability.astype(np.float32)


def logistic_path(
    features: Float[np.ndarray, "n d"],
    target: Num[np.ndarray, "n l"],
    strengths: Sequence[float],
    *,
    exclusive: bool,
) -> Iterator[tuple[float, LogisticRegression]]:
    """Fits one model for each strength c, each started from the one before.

    Args:
        features: Features of the training samples.
        target: 1 where a sample carries the label.
        strengths: Values of c; quickest from small (strong penalty) to great.
        exclusive: Whether a sample carries exactly one label.
    """
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    scaled = ((features - centre) / spread).astype(np.float32)
    wanted = target.astype(np.float32)
    theta = np.zeros((scaled.shape[1] + 1, wanted.shape[1]))
    loss_and_slope = partial(_loss_and_slope, exclusive=exclusive)
    options = {"maxiter": _MAX_STEPS, "gtol": _GRADIENT, "ftol": 1e-10}
    for strength in strengths:
        fixed = (scaled, wanted, strength)
        # Products of a few columns are too small for several threads, which would mostly wait for each other.
        with _thread_pools().limit(limits=1, user_api="blas"):
            found = minimize(
                loss_and_slope, theta.ravel(), fixed, method="L-BFGS-B", jac=True, options=options
            )
        theta = found.x.reshape(theta.shape)
        yield (
            strength,
            LogisticRegression(
                weights=theta[:-1], intercept=theta[-1], centre=centre, spread=spread, exclusive=exclusive
            ),
        )


@cache
def _thread_pools() -> ThreadpoolController:
    """The libraries of this process that have threads; to look for them takes as long as a fit."""
    return ThreadpoolController()


def _loss_and_slope(
    flat: Float[np.ndarray, " p"],
    features: Float[np.ndarray, "n d"],
    target: Float[np.ndarray, "n l"],
    strength: float,
    *,
    exclusive: bool,
) -> tuple[float, Float[np.ndarray, " p"]]:
    theta = flat.reshape(-1, target.shape[1])
    weights = theta[:-1]
    logits = features @ weights.astype(np.float32) + theta[-1].astype(np.float32)
    if exclusive:
        losses = -(target * log_softmax(logits, axis=1))
        probability = softmax(logits, axis=1)
    else:
        losses = np.logaddexp(0, logits) - target * logits
        probability = expit(logits)
    error = probability - target
    slope = np.vstack([features.T @ error, error.sum(axis=0)]) * float(strength)
    slope[:-1] += weights
    loss = strength * losses.sum(dtype=np.float64) + (weights**2).sum() / 2
    return float(loss), slope.astype(np.float64).ravel()
