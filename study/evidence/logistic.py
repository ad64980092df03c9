"""Logistic regression of all labels at once, for several penalties.

Differs: scikit-learn fits one label after the other; the optimum is the same, found several times faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Float, Num
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import ThreadpoolController

_GRADIENT = 1e-5  # where it is smaller, the scores are within 0.003 of those at the minimum
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
        return _probability(logits, exclusive=self.exclusive).astype(np.float32)


def logistic_path(
    features: Float[np.ndarray, "n d"],
    target: Num[np.ndarray, "n l"],
    strengths: Sequence[float],
    *,
    exclusive: bool,
) -> list[tuple[float, LogisticRegression]]:
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
    wanted = target.astype(np.float64)
    found = []
    # Products of a few columns are too small for several threads, which would mostly wait for each other.
    with _thread_pools().limit(limits=1, user_api="blas"):
        points, squares = _principal(scaled)
        theta = np.zeros((len(squares) + 1, wanted.shape[1]))
        for strength in strengths:
            theta = _fit(theta, points, squares, wanted, strength, exclusive=exclusive)
            error = _probability(_logits(points, theta), exclusive=exclusive) - wanted
            model = LogisticRegression(
                weights=-strength * (scaled.T @ error),  # where the gradient is zero
                intercept=theta[-1],
                centre=centre,
                spread=spread,
                exclusive=exclusive,
            )
            found.append((strength, model))
    return found


def _principal(
    scaled: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, " r"]]:
    """The samples along their principal axes, r = min(n, d), and the sum of squares along each axis.

    The axes are a rotation, which leaves ‖W‖ as it is and leaves out only what no sample has. There the
    curvature of the loss is nearly diagonal, and it is known before the first step.
    """
    if scaled.shape[1] <= len(scaled):
        squares, axes = np.linalg.eigh(scaled.T @ scaled)
        points, squares = scaled @ axes, squares.clip(0)
    else:
        squares, axes = np.linalg.eigh(scaled @ scaled.T)
        squares = squares.clip(0)
        points = axes * np.sqrt(squares)
    return points.astype(np.float64), squares.astype(np.float64)


def _fit(
    theta: Float[np.ndarray, "r1 l"],
    points: Float[np.ndarray, "n r"],
    squares: Float[np.ndarray, " r"],
    target: Float[np.ndarray, "n l"],
    strength: float,
    *,
    exclusive: bool,
) -> Float[np.ndarray, "r1 l"]:
    """The minimum, with the intercepts in the last row, started from `theta`.

    The variables are divided by the root of their curvature at the mean scores, so that a step is about as
    long in each of them.
    """
    carriers = target.mean(axis=0, dtype=np.float64)
    curvature = strength * (carriers * (1 - carriers)).clip(0.25 / len(target))
    unit = np.sqrt(np.vstack([1 + squares[:, None] * curvature, len(target) * curvature]))
    found = minimize(
        partial(_loss_and_slope, exclusive=exclusive),
        (theta * unit).ravel(),
        (unit, points, target, strength),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": _MAX_STEPS, "gtol": _GRADIENT, "ftol": 1e-12},
    )
    return np.asarray(found.x.reshape(unit.shape) / unit)


@cache
def _thread_pools() -> ThreadpoolController:
    """The libraries of this process that have threads; to look for them takes as long as a fit."""
    return ThreadpoolController()


def _loss_and_slope(
    flat: Float[np.ndarray, " p"],
    unit: Float[np.ndarray, "r1 l"],
    points: Float[np.ndarray, "n r"],
    target: Float[np.ndarray, "n l"],
    strength: float,
    *,
    exclusive: bool,
) -> tuple[float, Float[np.ndarray, " p"]]:
    theta = flat.reshape(unit.shape) / unit
    weights, logits = theta[:-1], _logits(points, theta)
    if exclusive:
        losses = -(target * log_softmax(logits, axis=1))
    else:
        losses = np.logaddexp(0, logits) - target * logits
    error = _probability(logits, exclusive=exclusive) - target
    slope = np.vstack([points.T @ error, error.sum(axis=0)]) * float(strength)
    slope[:-1] += weights
    loss = strength * losses.sum(dtype=np.float64) + (weights**2).sum() / 2
    return float(loss), (slope / unit).ravel()


def _logits(points: Float[np.ndarray, "n r"], theta: Float[np.ndarray, "r1 l"]) -> Float[np.ndarray, "n l"]:
    return np.asarray(points @ theta[:-1] + theta[-1])


def _probability(logits: Float[np.ndarray, "n l"], *, exclusive: bool) -> Float[np.ndarray, "n l"]:
    return np.asarray(softmax(logits, axis=1) if exclusive else expit(logits))
