"""Logistic regression of all labels at once: one matrix product for all of them, warm starts from strong to weak penalty.

Differs: scikit-learn fits one label after the other; the optimum is the same, found several times faster.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Num
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

_GRADIENT = 1e-3  # of a sum over the samples: the scores then move by less than 0.001
_MAX_STEPS = 300


class LogisticRegression:
    """Minimises c Σ loss(x W + w0, target) + ‖W‖² / 2, on features scaled to mean 0 and variance 1.

    Args:
        weights: W, one column for each label.
        intercept: w0.
        centre: of the features in training.
        spread: of the features in training.
        exclusive: softmax over the labels instead of one sigmoid each.
    """

    def __init__(
        self,
        weights: Float[np.ndarray, "d l"],
        intercept: Float[np.ndarray, " l"],
        centre: Float[np.ndarray, " d"],
        spread: Float[np.ndarray, " d"],
        exclusive: bool,
    ) -> None:
        self.weights, self.intercept, self.centre, self.spread, self.exclusive = (
            weights,
            intercept,
            centre,
            spread,
            exclusive,
        )

    def predict(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n l"]:
        """The probability of each label."""
        logits = (features - self.centre) / self.spread @ self.weights + self.intercept
        probability: Float[np.ndarray, "n l"] = softmax(logits, axis=1) if self.exclusive else expit(logits)
        return probability.astype(np.float32)


def logistic_path(
    features: Float[np.ndarray, "n d"],
    target: Num[np.ndarray, "n l"],
    strengths: Sequence[float],
    exclusive: bool,
) -> Iterator[tuple[float, LogisticRegression]]:
    """Fits one model for each strength c, each started from the one before.

    Args:
        features: of the training samples.
        target: 1 where a sample carries the label.
        strengths: values of c, best from small (strong penalty) to great.
        exclusive: whether a sample has exactly one label.
    """
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    scaled = ((features - centre) / spread).astype(np.float32)
    wanted = target.astype(np.float32)
    theta = np.zeros((scaled.shape[1] + 1, wanted.shape[1]))
    options = {"maxiter": _MAX_STEPS, "gtol": _GRADIENT, "ftol": 1e-10}
    for strength in strengths:
        fixed = (scaled, wanted, strength, exclusive)
        with threadpool_limits(
            1, user_api="blas"
        ):  # products of a few columns: waiting for each other costs ten times the work
            found = minimize(
                _loss_and_slope, theta.ravel(), fixed, method="L-BFGS-B", jac=True, options=options
            )
        theta = found.x.reshape(theta.shape)
        yield strength, LogisticRegression(theta[:-1], theta[-1], centre, spread, exclusive)


def _loss_and_slope(
    flat: Float[np.ndarray, " p"],
    features: Float[np.ndarray, "n d"],
    target: Float[np.ndarray, "n l"],
    strength: float,
    exclusive: bool,
) -> tuple[float, Float[np.ndarray, " p"]]:
    theta = flat.reshape(-1, target.shape[1])
    weights = theta[:-1]
    logits = features @ weights.astype(np.float32) + theta[-1].astype(np.float32)
    if exclusive:
        losses, probability = -(target * log_softmax(logits, axis=1)), softmax(logits, axis=1)
    else:
        losses, probability = np.logaddexp(0, logits) - target * logits, expit(logits)
    slope = np.vstack([features.T @ (probability - target), (probability - target).sum(axis=0)]) * float(
        strength
    )
    slope[:-1] += weights
    loss = strength * losses.sum(dtype=np.float64) + (weights**2).sum() / 2
    return float(loss), slope.astype(np.float64).ravel()
