"""Intervals over patients, and over seeds where there are several.

A share, such as a sensitivity, has Wilson's interval with as many patients as would explain its variance.
Every other number has an interval of Student on a logit scale. Both are centred at the number less its bias:
average precision is biased upwards, the more the fewer carriers a label has. `benchmarks/cohorts.py`
measures how often these intervals hold the truth.

Source: Wilson 1927; Korn & Graubard 1998 (effective number of samples); Hanley & McNeil 1982 (variance of an
AUC, which bounds its effective number).
Differs: The bounds hold for average precision and F1, too; a label with few carriers has no interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from study.evidence.evaluation import Evaluation
from study.evidence.metrics import Metric
from study.evidence.statistics.bootstrap import DecidedPredictions, resampled_values
from study.evidence.statistics.jackknife import Deviation, LeftOut, jackknife, t_quantile

MIN_CARRIERS = 10  # of a label whose own number has an interval
MIN_CARRIERS_OF_MEAN = 5  # of each label in a mean that has an interval
NORMAL_REACH = t_quantile(0.975, np.inf)  # 1.96
Interval = tuple[float, float]
NO_INTERVAL: Interval = (float("nan"), float("nan"))


@dataclass(frozen=True, kw_only=True)
class Support:
    """What a number rests on.

    Attributes:
        lowest: Least possible value; the greatest one is 1. NaN where there are no such bounds.
        count: How many samples the number is a share of at most; 0 for no share.
        cluster: Samples of a patient: by how many `count` is divided where no patient changes the number.
        carriers: Number of patients that carry each label it depends on; empty where it needs no labels.
        min_carriers: Fewest carriers with which the number has an interval. Labels without any carrier take
            no part in a mean.
    """

    lowest: float = 0.0
    count: float = 0.0
    cluster: float = 1.0
    carriers: tuple[int, ...] = ()
    min_carriers: int = 0

    @property
    def enough(self) -> bool:
        """Whether the number can have an interval and be tested."""
        return all(num >= self.min_carriers for num in self.carriers if num)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: Mean over seeds and folds of the metric on all their samples.
        low: Lower end of the interval; NaN where none can be given.
        high: Upper end of the interval.
        deviation: How far the value may be from what it estimates, over patients and seeds.
        within: Variance of one seed (all its folds) over patients.
        between: Variance between seeds; NaN for a single one.
        by_seed: Value of each seed.
        left_out: Value without each group of patients.
        support: What the value rests on.
    """

    value: float
    low: float
    high: float
    deviation: Deviation
    within: float
    between: float
    by_seed: Mapping[int, float]
    left_out: Float[np.ndarray, " g"]
    support: Support

    @property
    def spread(self) -> float:
        """Standard deviation that one seed would show on one such set of patients."""
        return float(np.sqrt(self.within + np.nan_to_num(self.between)))


@dataclass(frozen=True)
class _People:
    """Who is behind some trainings.

    Attributes:
        num: Number of patients.
        carriers: Number of patients with a sample that carries each label.
        others: Number of patients with a sample that does not.
    """

    num: int
    carriers: Int[np.ndarray, " l"]
    others: Int[np.ndarray, " l"]


def estimate(
    metrics: Sequence[Metric], trainings: Sequence[DecidedPredictions], left_out: LeftOut
) -> dict[str, list[Estimate]]:
    """Value and interval of each metric over all trainings (seeds, folds) of one row of a table.

    Args:
        metrics: Metrics to estimate.
        trainings: Predictions and decisions of each training, at least one.
        left_out: Groups of all their patients.

    Returns:
        By the name of the metric: one estimate for an aggregate, one for each label of a per-label metric.
    """
    evaluations = [training.evaluation() for training in trainings]
    without = [
        resampled_values(metrics, training, left_out.weights(training.predictions.patient))
        for training in trainings
    ]
    seeds, people = np.array([training.seed for training in trainings]), _people_of(trainings)
    found: dict[str, list[Estimate]] = {}
    for metric in metrics:
        points = np.stack([np.atleast_2d(metric.compute(evaluation))[:, 0] for evaluation in evaluations])
        values = np.stack([of_training[metric.name] for of_training in without])
        supports = _supports(metric, trainings, evaluations, people)
        found[metric.name] = [
            combined(points[:, row], values[:, row], seeds, support) for row, support in enumerate(supports)
        ]
    return found


def combined(
    points: Float[np.ndarray, " t"],
    left_out: Float[np.ndarray, "t g"],
    seeds: Int[np.ndarray, " t"],
    support: Support,
) -> Estimate:
    """The estimate from each training's value on all samples and without each group of patients."""
    names = np.unique(seeds)
    by_seed = {int(seed): float(points[seeds == seed].mean()) for seed in names}
    of_seed = np.stack([left_out[seeds == seed].mean(axis=0) for seed in names])
    value, without = float(np.mean(list(by_seed.values()))), of_seed.mean(axis=0)
    within = [jackknife(by_seed[int(seed)], row).variance for seed, row in zip(names, of_seed, strict=True)]
    between = float(np.var(list(by_seed.values()), ddof=1)) if len(names) > 1 else float("nan")
    deviation = jackknife(value, without)
    reach_of_share = NORMAL_REACH
    if len(names) > 1:
        deviation = deviation.plus(between / len(names), len(names) - 1.0)
        reach_of_share = deviation.reach
    low, high = _interval(value, deviation, support, reach_of_share)
    return Estimate(
        value=value,
        low=low,
        high=high,
        deviation=deviation,
        within=float(np.mean(within)),
        between=between,
        by_seed=by_seed,
        left_out=without,
        support=support,
    )


def _interval(value: float, deviation: Deviation, support: Support, reach_of_share: float) -> Interval:
    """The 95 % interval, which always holds the value; NaN where it cannot be given.

    Args:
        value: The value.
        deviation: Its deviation over patients and seeds.
        support: What it rests on.
        reach_of_share: How many standard errors a share's interval reaches to each side.
    """
    if np.isnan(value) or np.isnan(deviation.variance) or not support.enough:
        return NO_INTERVAL
    if np.isnan(support.lowest):
        half = deviation.reach * deviation.error
        return (value - half, value + half) if half else NO_INTERVAL
    width = 1 - support.lowest
    share = (value - support.lowest) / width
    error = deviation.error / width
    if error == 0:
        ends = _ends_without_variance(share, support)
    else:
        centre = float(np.clip(share - deviation.bias / width, 0, 1))
        if support.count:
            count = min(centre * (1 - centre) / error**2, support.count)
            ends = wilson(centre, max(count, 0.5), reach_of_share)
        else:
            ends = _logit_ends(centre, error, deviation.reach)
    low, high = (support.lowest + width * end for end in ends)
    return min(low, value), max(high, value)


def _ends_without_variance(share: float, support: Support) -> Interval:
    """Wilson's ends of a number at a bound that no patient changes, by the patients that it rests on."""
    num_patients = (support.count / support.cluster) or float(sum(support.carriers))
    if share not in (0, 1) or not num_patients:
        return NO_INTERVAL
    return wilson(share, num_patients, NORMAL_REACH)


def wilson(share: float, count: float, reach: float) -> Interval:
    """Wilson's interval of a share of `count` samples: all shares less than `reach` standard errors away."""
    middle = (share + reach**2 / (2 * count)) / (1 + reach**2 / count)
    half = reach / (1 + reach**2 / count)
    half *= float(np.sqrt(share * (1 - share) / count + reach**2 / (4 * count**2)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _logit_ends(centre: float, error: float, reach: float) -> Interval:
    """Student's interval of logit(share), whose standard error is error / (share (1 - share))."""
    inside = float(np.clip(centre, error**2, 1 - error**2))  # a share of 0 or 1 has no logit
    half = reach * error / (inside * (1 - inside))
    return float(expit(logit(inside) - half)), float(expit(logit(inside) + half))


def _supports(
    metric: Metric,
    trainings: Sequence[DecidedPredictions],
    evaluations: Sequence[Evaluation],
    people: _People,
) -> list[Support]:
    """What each row of the metric rests on: numbers over the folds of a seed, as a mean over seeds."""
    num_seeds = len({training.seed for training in trainings})
    samples = sum(float(e.total[0]) for e in evaluations) / num_seeds
    cluster = max(1.0, samples / people.num)
    if not metric.per_label:
        whole = Support(
            lowest=metric.lowest,
            count=samples if metric.share_of == "samples" else 0.0,
            cluster=cluster,
            carriers=tuple(map(int, people.carriers)) if metric.of_labels else (),
            min_carriers=MIN_CARRIERS_OF_MEAN,
        )
        return [whole]
    needed = people.carriers
    if metric.share_of == "pairs":
        needed = np.minimum(needed, people.others)
    is_count = metric.share_of in ("carriers found", "others")
    counts = np.sum([_counts(metric, e) for e in evaluations], axis=0) / num_seeds
    return [
        Support(
            lowest=metric.lowest,
            count=float(count),
            cluster=cluster,
            carriers=(int(num),),
            min_carriers=0 if is_count else MIN_CARRIERS,
        )
        for count, num in zip(counts, needed, strict=True)
    ]


def _people_of(trainings: Sequence[DecidedPredictions]) -> _People:
    names = [p for training in trainings for p in training.predictions.patient]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    patient = np.array([number[name] for name in names])
    target = np.concatenate([training.predictions.target for training in trainings]) > 0
    carriers, others = (
        np.array([len(np.unique(patient[column])) for column in rows.T]) for rows in (target, ~target)
    )
    return _People(len(number), carriers, others)


def _counts(metric: Metric, evaluation: Evaluation) -> Float[np.ndarray, " l"]:
    """How many samples each label's number is a share of at most; 0 for what is no share."""
    carriers = evaluation.positives[:, 0]
    others = evaluation.total[0] - carriers
    counts = np.zeros(len(carriers))
    if metric.share_of == "pairs":
        auc = np.abs(metric.compute(evaluation)[:, 0] - 0.5) + 0.5  # as if the better side were called
        rest = (carriers + others) / 2 - 1
        counts = carriers * others / (1 + rest * ((1 - auc) / (2 - auc) + auc / (1 + auc)))
    elif metric.share_of == "others":
        counts = others
    elif metric.share_of == "decided":
        counts = evaluation.decided[:, 0]
    elif metric.share_of == "carriers and decided":
        counts = carriers + evaluation.decided[:, 0]
    elif metric.share_of:
        counts = carriers
    return np.asarray(np.nan_to_num(counts))
