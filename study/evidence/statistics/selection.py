"""The winner's curse: the best of many trials looks better on validation than it is.

Source: Tsamardinos, Greasidou & Borboudakis 2018, Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation (BBC-CV).
Differs: patients are drawn, not samples; the predictions are of one validation split; what fewer patients alone change in
the metric is taken off again (average precision grows as patients become fewer). Like the original it errs on the low side:
who does well on the drawn patients has had his luck there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from study.evidence.decisions import decide
from study.evidence.evaluation import Evaluation, ratio
from study.evidence.metrics import LabelKind, Metric
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import Judged, Resamples, interval, resampled_values

NUM_RESAMPLES = 500  # two evaluations a trial and resample; the mean over resamples settles well before
_MAX_EVALUATED = 200_000  # trials times resamples: some ten seconds
NUM_RANGES = 3


@dataclass(frozen=True)
class Selection:
    """What choosing the best trial on validation is worth.

    Attributes:
        naive: the chosen trial's value on validation, which its choice has made too good.
        corrected: mean value of the pick on the patients that did not take part in picking it, less what a trial that nobody picks
            gains from being judged on so few.
        low: lower end of the 95 % interval of the corrected value.
        high: its upper end.
        pick_share: for each trial, the share of resamples that picked it: the probability that it is the best.
    """

    naive: float
    corrected: float
    low: float
    high: float
    pick_share: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class Contender:
    """A trial that may be picked.

    Attributes:
        patient: of each validation sample.
        whole: the trial's value on all of them.
        values: its value under each weighting of the samples.
    """

    patient: Sequence[str]
    whole: float
    values: Callable[[Float[np.ndarray, "n b"]], Float[np.ndarray, " b"]]


def selection_bootstrap(
    metric: Metric,
    kind: LabelKind,
    trials: Sequence[Predictions],
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Selection:
    """The selection among trials by their predictions.

    Args:
        metric: an aggregate metric; decisions are the plain ones.
        kind: of the task.
        trials: validation predictions of one head of every complete trial, all labels known, of the same samples.
        num_resamples: number of resamples; fewer, but at least 100, where there are very many trials.
        seed: of the random numbers.

    Raises:
        ValueError: no trials, or the trials' samples differ.
    """
    if not trials or any(set(t.sample) != set(trials[0].sample) for t in trials):
        raise ValueError(
            "`trials`: must be at least one, all with predictions of the same validation samples."
        )

    def contender(predictions: Predictions) -> Contender:
        judged = Judged(predictions, decide(predictions.score, kind))
        whole = metric.compute(Evaluation(predictions.target, predictions.score, judged.decision))[0]
        return Contender(
            predictions.patient,
            float(whole),
            lambda weights: resampled_values([metric], judged, weights)[metric.name][0],
        )

    return select([contender(t) for t in trials], metric.greater_is_better, num_resamples, seed)


def select(
    contenders: Sequence[Contender],
    greater_is_better: bool,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Selection:
    """In each resample picks the best trial on the drawn patients and scores it on the patients left out.

    Args:
        contenders: at least one, all of the same patients.
        greater_is_better: false for losses.
        num_resamples: as in `selection_bootstrap`.
        seed: of the random numbers.
    """
    num_resamples = min(num_resamples, max(100, _MAX_EVALUATED // len(contenders)))
    resamples = Resamples(contenders[0].patient, num_resamples, seed)
    sign = 1 if greater_is_better else -1
    whole = np.array([c.whole for c in contenders])
    inside, outside = np.empty((2, len(contenders), num_resamples))
    for row, contender in enumerate(contenders):
        drawn = resamples.weights(contender.patient)
        inside[row], outside[row] = contender.values(
            np.hstack([drawn, drawn == 0], dtype=np.float32)
        ).reshape(2, -1)
    picks = _best(sign * inside)
    share = np.bincount(picks, minlength=len(contenders)) / num_resamples
    from_fewness = ratio(np.nansum(outside - whole[:, None], axis=1), (~np.isnan(outside)).sum(axis=1))
    picked = outside[picks, np.arange(num_resamples)] - share[share > 0] @ from_fewness[share > 0]
    low, high = interval(picked)
    corrected = float(picked[~np.isnan(picked)].mean()) if not np.isnan(low) else float("nan")
    return Selection(float(whole[_best(sign * whole[:, None])[0]]), corrected, low, high, share)


def _best(values: Float[np.ndarray, "t b"]) -> Int[np.ndarray, " b"]:
    """The trial with the greatest value in each column, the first of equal ones; undefined values never win."""
    best: Int[np.ndarray, " b"] = np.where(np.isnan(values), -np.inf, values).argmax(axis=0)
    return best


def option_shares(pick_share: Float[np.ndarray, " t"], params: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """How probable it is that each option of each hyperparameter is in the best trial, beside how often it was tried.

    Numbers with more than `NUM_RANGES` different values are put into ranges with equally many trials. The shares of a
    parameter that exists only in some branches add up to the probability that the best trial is in such a branch.

    Args:
        pick_share: of each trial, from `selection_bootstrap`.
        params: of each trial.

    Returns:
        columns parameter, option, probability, tried (share of the trials).
    """
    rows = []
    for name in sorted({name for trial in params for name in trial}):
        having = [i for i, trial in enumerate(params) if name in trial]
        options = _options([params[i][name] for i in having])
        for option in dict.fromkeys(sorted(options, key=lambda o: o[0])):
            trials = [i for i, o in zip(having, options, strict=True) if o == option]
            rows.append((name, option[1], float(pick_share[trials].sum()), len(trials) / len(params)))
    return pd.DataFrame(rows, columns=["parameter", "option", "probability", "tried"])


def _options(values: Sequence[Any]) -> list[tuple[Any, str]]:
    """Each value's option as (place to sort by, text)."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers:
        return [(str(v), str(v)) for v in values]
    if len(set(values)) <= NUM_RANGES:
        return [(v, f"{v:g}") for v in values]
    edges = np.quantile(values, np.linspace(0, 1, NUM_RANGES + 1))
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, NUM_RANGES - 1)
    return [(int(p), f"{edges[p]:.3g} to {edges[p + 1]:.3g}") for p in places]
