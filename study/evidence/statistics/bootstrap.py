"""Resampled patients, and every metric of a training under many weightings of its samples.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (resampling of clusters).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.evaluation import Evaluation
from study.evidence.metrics import Metric
from study.evidence.predictions import Predictions

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95
_CHUNK = 2**15  # weights at once: 128 KiB and their running sums stay in the processor's cache


class Resamples:
    """Resampled sets of patients, the same for every model that is compared.

    Args:
        patients: Everyone who may be drawn; all samples of a patient move together.
        num: Number of resamples.
        seed: Seed of the random numbers; the same patients, number and seed give the same resamples.
    """

    def __init__(self, patients: Iterable[str], num: int = NUM_RESAMPLES, seed: int = 0) -> None:
        self.num = num
        self.seed = seed
        self._row = {patient: row for row, patient in enumerate(sorted(set(patients)))}
        num_patients = len(self._row)
        draws = np.random.default_rng(seed).multinomial(
            num_patients, np.full(num_patients, 1 / num_patients), size=num
        )
        self._counts: Float[np.ndarray, "p b"] = np.ascontiguousarray(draws.T, dtype=np.float32)

    def weights(self, patient: Sequence[str]) -> Float[np.ndarray, "n b"]:
        """How often each sample counts in each resample: as often as its patient was drawn.

        Args:
            patient: Patient that each sample belongs to.

        Raises:
            ValueError: A patient was not among those to be drawn.
        """
        if strangers := set(patient) - self._row.keys():
            raise ValueError(f"`patient`: must be among the resampled patients, got `{min(strangers)}`.")
        return self._counts[[self._row[p] for p in patient]]


@dataclass(frozen=True)
class DecidedPredictions:
    """The predictions of one training on one split, and what was decided from them.

    Attributes:
        predictions: The predictions, all labels known.
        decision: The decisions.
        seed: Seed of the training; several seeds are averaged.
        fold: Number of the fold in the split; the folds of a seed are averaged.
    """

    predictions: Predictions
    decision: Bool[np.ndarray, "n l"]
    seed: int = 0
    fold: int = 0

    def evaluation(self, weights: Float[np.ndarray, "n b"] | None = None) -> Evaluation:
        """The evaluation of the predictions; every sample counts once where no weights are given."""
        return Evaluation(self.predictions.target, self.predictions.score, self.decision, weights)


def resampled_values(
    metrics: Sequence[Metric], training: DecidedPredictions, weights: Float[np.ndarray, "n b"]
) -> dict[str, Float[np.ndarray, "m b"]]:
    """Every metric in every resample: one row for an aggregate, one for each label of a per-label metric.

    Args:
        metrics: Metrics to compute.
        training: Predictions and decisions of the training.
        weights: Weights of its samples, such as `Resamples.weights` gives.
    """
    parts: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    step = max(1, _CHUNK // max(1, len(weights)))
    for start in range(0, weights.shape[1], step):
        evaluation = training.evaluation(np.ascontiguousarray(weights[:, start : start + step]))
        for metric in metrics:
            parts[metric.name].append(np.atleast_2d(metric.compute(evaluation)).astype(np.float64))
    return {name: np.concatenate(columns, axis=1) for name, columns in parts.items()}


def interval(values: Float[np.ndarray, " b"], level: float = CONFIDENCE) -> tuple[float, float]:
    """The percentiles (1 - level) / 2 and (1 + level) / 2 of the defined resamples; NaN without any."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
