"""Intervals from resampled patients, and from resampled seeds where there are several.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (percentile interval, resampling of
clusters); Rao & Wu 1988, Resampling inference with complex survey data (drawing S - 1 of S units makes the
variance unbiased).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

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

    def seed_shares(self, num_seeds: int) -> Float[np.ndarray, "s b"]:
        """The share of each of S seeds in each resample, which draws S - 1 of them with replacement.

        A single seed is in every resample.
        """
        if num_seeds == 1:
            return np.ones((1, self.num))
        rng = np.random.default_rng([self.seed, num_seeds])
        draws = rng.multinomial(num_seeds - 1, np.full(num_seeds, 1 / num_seeds), size=self.num)
        return draws.T / (num_seeds - 1)


@dataclass(frozen=True)
class DecidedPredictions:
    """The predictions of one training on one split, and what was decided from them.

    Attributes:
        predictions: The predictions, all labels known.
        decision: The decisions.
        seed: Seed of the training; several seeds are averaged and resampled.
        fold: Number of the fold in the split; the folds of a seed are averaged.
    """

    predictions: Predictions
    decision: Bool[np.ndarray, "n l"]
    seed: int = 0
    fold: int = 0

    def evaluation(self, weights: Float[np.ndarray, "n b"] | None = None) -> Evaluation:
        """The evaluation of the predictions; every sample counts once where no weights are given."""
        return Evaluation(self.predictions.target, self.predictions.score, self.decision, weights)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: Mean over seeds and folds of the metric on all their samples.
        low: Lower end of the percentile interval; NaN where no resample has a value.
        high: Upper end of the percentile interval.
        spread: Standard deviation that one seed (all its folds) would show on one such set of patients: over
            patients, and over seeds where there are several.
        resampled: Value in each resample, NaN where it is undefined there.
    """

    value: float
    low: float
    high: float
    spread: float
    resampled: Float[np.ndarray, " b"]


def resampled_values(
    metrics: Sequence[Metric], training: DecidedPredictions, weights: Float[np.ndarray, "n b"]
) -> dict[str, Float[np.ndarray, "m b"]]:
    """Every metric in every resample: one row for an aggregate, one for each label of a per-label metric.

    Args:
        metrics: Metrics to compute.
        training: Predictions and decisions of the training.
        weights: Weights of its samples, from `Resamples.weights`.
    """
    parts: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    step = max(1, _CHUNK // max(1, len(weights)))
    for start in range(0, weights.shape[1], step):
        evaluation = training.evaluation(np.ascontiguousarray(weights[:, start : start + step]))
        for metric in metrics:
            parts[metric.name].append(np.atleast_2d(metric.compute(evaluation)).astype(np.float64))
    return {name: np.concatenate(columns, axis=1) for name, columns in parts.items()}


def estimate(
    metrics: Sequence[Metric], trainings: Sequence[DecidedPredictions], resamples: Resamples
) -> dict[str, list[Estimate]]:
    """Value and interval of each metric over all trainings (seeds, folds) of one row of a table.

    A resample draws patients (the same for every training) and, of S seeds, S - 1; its value is the mean over
    the folds of a seed and then over the drawn seeds.

    Args:
        metrics: Metrics to estimate.
        trainings: Predictions and decisions of each training, at least one.
        resamples: Resamples of all their patients.

    Returns:
        By the name of the metric: one estimate for an aggregate, one for each label of a per-label metric.
    """
    evaluations = [training.evaluation() for training in trainings]
    resampled = [
        resampled_values(metrics, training, resamples.weights(training.predictions.patient))
        for training in trainings
    ]
    seeds = np.array([training.seed for training in trainings])
    found: dict[str, list[Estimate]] = {}
    for metric in metrics:
        points = np.stack([np.atleast_2d(metric.compute(evaluation))[:, 0] for evaluation in evaluations])
        values = np.stack([of_training[metric.name] for of_training in resampled])
        found[metric.name] = [
            _combined(points[:, row], values[:, row], seeds, resamples) for row in range(points.shape[1])
        ]
    return found


def _combined(
    points: Float[np.ndarray, " t"],
    values: Float[np.ndarray, "t b"],
    seeds: Int[np.ndarray, " t"],
    resamples: Resamples,
) -> Estimate:
    """The estimate from each training's value on all samples and in each resample."""
    groups = [seeds == seed for seed in np.unique(seeds)]
    point_of_seed = np.array([points[group].mean() for group in groups])
    of_seed = np.stack([values[group].mean(axis=0) for group in groups])
    share = resamples.seed_shares(len(groups))
    mixed = np.where(share > 0, share * of_seed, 0).sum(axis=0)
    between = point_of_seed.var(ddof=1) if len(groups) > 1 else 0.0
    low, high = interval(mixed)
    return Estimate(
        value=float(point_of_seed.mean()),
        low=low,
        high=high,
        spread=float(np.sqrt(_variance_within(of_seed) + between)),
        resampled=mixed,
    )


def _variance_within(of_seed: Float[np.ndarray, "s b"]) -> float:
    """Mean over seeds of the variance over the defined resamples; NaN where a seed has fewer than two."""
    defined = [values[~np.isnan(values)] for values in of_seed]
    if min(map(len, defined)) < 2:
        return float("nan")
    return float(np.mean([values.var(ddof=1) for values in defined]))


def interval(values: Float[np.ndarray, " b"], level: float = CONFIDENCE) -> tuple[float, float]:
    """The percentiles (1 - level) / 2 and (1 + level) / 2 of the defined resamples; NaN without any."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
