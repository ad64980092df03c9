"""What the settings of a head are worth, all of which every trial tries on its one embedding.

The settings of a trial share its network and its patients, so they are no independent observations: trials
are resampled whole, and the effect of a setting is measured inside of each trial.

Source: Fisher 1925, Statistical methods for research workers (analysis of variance of a balanced design).
Differs: An effect is measured in each trial by itself and then averaged, so that it counts, too, where one
trial needs few neighbours and another one many. Its noise comes from settings that are shuffled inside of
each trial.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from study.evidence.decisions import decide_validation
from study.evidence.metrics import Metric
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import DecidedPredictions, interval, resampled_values
from study.evidence.statistics.shares import COLUMNS, MIN_TRIALS, NOISE_LEVEL
from study.spec.task import LabelKind, ThresholdRule

TRIALS = "trials"  # row of `setting_importance` for all that differs between trials


def setting_importance(
    values: Float[np.ndarray, "t ..."], names: Sequence[str], *, num_resamples: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Shares of the variance over trials and settings, with a bootstrap interval over trials.

    The variance is the sum of that between the means of the trials and that inside of trials. The share of a
    parameter is the variance between the means of its options in a trial, averaged over the trials. What is
    left to 1 is the share of the parameters' interactions.

    Args:
        values: Validation value of each trial at each setting; one axis for each parameter of the head.
        names: Names of these parameters.
        num_resamples: Number of resamples of the trials.
        seed: Seed of the resamples and of the shuffled settings.

    Returns:
        Columns parameter, importance, low, high, noise (95 % point of what the parameter gets where the
        settings of each trial are shuffled) and above_noise (whether `low` exceeds it): a row for `TRIALS`,
        which has no noise, and one for each parameter with several options, greatest first. There are no rows
        for fewer than 10 trials or equal values.
    """
    num_trials = len(values)
    if num_trials < MIN_TRIALS or np.ptp(values) == 0:
        return pd.DataFrame(columns=COLUMNS)
    rng = np.random.default_rng(seed)
    effects = _effects(values)
    shares, shuffled = [_shares(values, effects, np.arange(num_trials))], []
    for drawn in rng.integers(num_trials, size=(num_resamples, num_trials)):
        flat = rng.permuted(values.reshape(num_trials, -1), axis=1)
        shares.append(_shares(values, effects, drawn))
        shuffled.append(_shares(values, _effects(flat.reshape(values.shape)), drawn))
    point, resampled = shares[0], np.array(shares[1:])
    noise = [float("nan"), *(interval(column, 2 * NOISE_LEVEL - 1)[1] for column in np.array(shuffled).T[1:])]
    table = []
    for i, name in enumerate([TRIALS, *names]):
        if i and values.shape[i] == 1:
            continue
        low, high = interval(resampled[:, i])
        table.append((name, float(point[i]), low, high, noise[i], i == 0 or low > noise[i]))
    return pd.DataFrame(table, columns=COLUMNS).sort_values("importance", ascending=False, ignore_index=True)


def _effects(values: Float[np.ndarray, "t ..."]) -> Float[np.ndarray, "t p"]:
    """The variance between the means of each parameter's options, in each trial."""
    axes = range(1, values.ndim)
    means = [values.mean(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return np.stack([of_options.var(axis=1) for of_options in means], axis=1)


def _shares(
    values: Float[np.ndarray, "t ..."], effects: Float[np.ndarray, "t p"], drawn: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " p1"]:
    """The shares of what differs between trials and of each parameter, for the drawn trials."""
    flat = values[drawn].reshape(len(drawn), -1)
    between, total = flat.mean(axis=1).var(), flat.var()
    parts = np.array([between, *effects[drawn].mean(axis=0)])
    return parts / total if total > 0 else np.full(len(parts), np.nan)


def setting_wins(
    metric: Metric,
    kind: LabelKind,
    rule: ThresholdRule,
    settings: Iterable[Predictions],
    weights: Float[np.ndarray, "n b"],
) -> Float[np.ndarray, " s"]:
    """In how many resamples each setting is the best one; equally good settings share a resample.

    Args:
        metric: An aggregate metric.
        kind: Kind of the labels.
        rule: Rule of the thresholds.
        settings: Predictions of the validation samples at each setting, all labels known.
        weights: How often each sample counts in each resample.
    """
    decided = (
        DecidedPredictions(each, decide_validation(each.target, each.score, kind, rule)) for each in settings
    )
    values = np.stack([resampled_values([metric], each, weights)[metric.name][0] for each in decided])
    values = np.where(np.isnan(values), -np.inf, values if metric.greater_is_better else -values)
    best = np.isclose(values, values.max(axis=0), rtol=0, atol=1e-9)
    return np.asarray((best / best.sum(axis=0)).sum(axis=1))
