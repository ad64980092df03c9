"""Intervals from resampled patients, and from resampled seeds where there are several.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (percentile interval, resampling of clusters); Rao & Wu
1988, Resampling inference with complex survey data (drawing S - 1 of S units makes the variance unbiased).
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
        patients: everyone who may be drawn; all samples of a patient move together.
        num: number of resamples.
        seed: of the random numbers; the same patients, number and seed give the same resamples.
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

        Raises:
            ValueError: a patient who was not among those to be drawn.
        """
        if strangers := set(patient) - self._row.keys():
            raise ValueError(f"`patient`: must be among the resampled patients, got `{min(strangers)}`.")
        return self._counts[[self._row[p] for p in patient]]

    def draws_of(self, num_units: int) -> Float[np.ndarray, "s b"]:
        """Share of each of S seeds in each resample: S - 1 of them drawn with replacement; a single one is always there."""
        if num_units == 1:
            return np.ones((1, self.num))
        rng = np.random.default_rng([self.seed, num_units])
        draws = rng.multinomial(num_units - 1, np.full(num_units, 1 / num_units), size=self.num)
        return draws.T / (num_units - 1)


@dataclass(frozen=True)
class Judged:
    """One training's predictions on one split and what was decided from them.

    Attributes:
        predictions: all labels known.
        decision: from `score.decisions_of`.
        seed: of the training; several seeds are averaged and resampled.
        fold: of the split; the folds of a seed are averaged.
    """

    predictions: Predictions
    decision: Bool[np.ndarray, "n l"]
    seed: int = 0
    fold: int = 0


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: mean over seeds and folds of the metric on all their samples.
        low: lower end of the percentile interval; NaN where no resample has a value.
        high: its upper end.
        spread: standard deviation that one seed (all its folds) on one such set of patients would show: over patients,
            and over seeds where there are several.
        resampled: the value in each resample, NaN where it is undefined there.
    """

    value: float
    low: float
    high: float
    spread: float
    resampled: Float[np.ndarray, " b"]


def resampled_values(
    metrics: Sequence[Metric], judged: Judged, weights: Float[np.ndarray, "n b"]
) -> dict[str, Float[np.ndarray, "m b"]]:
    """Every metric in every resample: one row for an aggregate, one a label for a per-label metric.

    Args:
        metrics: to compute.
        judged: the training.
        weights: of its samples, from `Resamples.weights`.
    """
    parts: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    step = max(1, _CHUNK // max(1, len(weights)))
    for start in range(0, weights.shape[1], step):
        chunk = np.ascontiguousarray(weights[:, start : start + step])
        evaluation = Evaluation(judged.predictions.target, judged.predictions.score, judged.decision, chunk)
        for metric in metrics:
            parts[metric.name].append(np.atleast_2d(metric.compute(evaluation)).astype(np.float64))
    return {name: np.concatenate(columns, axis=1) for name, columns in parts.items()}


def estimate(
    metrics: Sequence[Metric], runs: Sequence[Judged], resamples: Resamples
) -> dict[str, list[Estimate]]:
    """Value and interval of each metric over all trainings (seeds, folds) of one row of a table.

    A resample draws patients (the same for every training) and, of S seeds, S - 1; its value is the mean over the folds
    of a seed and then over the drawn seeds.

    Args:
        metrics: to estimate.
        runs: the trainings, at least one.
        resamples: over all their patients.

    Returns:
        by metric name, one estimate for an aggregate, one a label for a per-label metric.
    """
    points = [Evaluation(run.predictions.target, run.predictions.score, run.decision) for run in runs]
    values = [resampled_values(metrics, run, resamples.weights(run.predictions.patient)) for run in runs]
    seeds = np.array([run.seed for run in runs])
    found: dict[str, list[Estimate]] = {}
    for metric in metrics:
        point = np.stack([np.atleast_2d(metric.compute(p))[:, 0] for p in points])
        resampled = np.stack([v[metric.name] for v in values])
        found[metric.name] = [
            _combined(point[:, row], resampled[:, row], seeds, resamples) for row in range(point.shape[1])
        ]
    return found


def _combined(
    point: Float[np.ndarray, " r"],
    resampled: Float[np.ndarray, "r b"],
    seeds: np.ndarray,
    resamples: Resamples,
) -> Estimate:
    groups = [seeds == seed for seed in np.unique(seeds)]
    by_seed = np.array([point[group].mean() for group in groups])
    drawn = np.stack([resampled[group].mean(axis=0) for group in groups])
    share = resamples.draws_of(len(groups))
    mixed = np.where(share > 0, share * drawn, 0).sum(axis=0)
    variance = _variance_within(drawn) + (by_seed.var(ddof=1) if len(groups) > 1 else 0.0)
    low, high = interval(mixed)
    return Estimate(float(by_seed.mean()), low, high, float(np.sqrt(variance)), mixed)


def _variance_within(drawn: Float[np.ndarray, "s b"]) -> float:
    """Mean over seeds of the variance over the resamples that have a value; NaN where a seed has fewer than two."""
    defined = [row[~np.isnan(row)] for row in drawn]
    return (
        float(np.mean([row.var(ddof=1) for row in defined])) if min(map(len, defined)) > 1 else float("nan")
    )


def interval(values: Float[np.ndarray, " b"], level: float = CONFIDENCE) -> tuple[float, float]:
    """The percentiles (1 - level) / 2 and (1 + level) / 2 of the resamples that have a value; NaN without any."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
