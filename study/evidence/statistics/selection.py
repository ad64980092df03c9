"""How much better the best of many trials looks on validation than it is, because it was chosen there.

Source: Tsamardinos, Greasidou & Borboudakis 2018, Bootstrapping the out-of-sample predictions for efficient
and accurate cross-validation (BBC-CV).
Differs: patients are drawn, not samples; the predictions are of one validation split; the change that fewer
patients alone make in the metric is subtracted (average precision grows as patients become fewer). Like the
original, the corrected value is rather too low than too high: a trial is picked where chance favours it on
the drawn patients, and then chance is against it on the patients left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from study.evidence.decisions import decide_validation
from study.evidence.evaluation import ratio
from study.evidence.metrics import Metric
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import DecidedPredictions, Resamples, resampled_values
from study.evidence.statistics.estimate import Estimate, estimate
from study.evidence.statistics.jackknife import LeftOut
from study.spec.task import LabelKind, ThresholdRule
from study.spec.wording import setting_text

NUM_RESAMPLES = 500  # each costs two evaluations of every trial; the mean over resamples settles well before
_MAX_EVALUATED = 200_000  # trials times resamples: about ten seconds
NUM_RANGES = 3


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What choosing the best trial on validation is worth.

    Attributes:
        naive: Value of the chosen trial on validation, which is too good because it was chosen by that value.
        corrected: Mean value of the picked trial on the patients that did not take part in picking it, less
            the change that so few patients make in any trial's value.
        low: Lower end of the 95 % interval of the corrected value: that of the chosen trial's value, moved by
            the correction. NaN where there is none.
        high: Upper end of the 95 % interval of the corrected value.
        pick_share: Share of the resamples that picked each trial. It says how stable the choice is, and is no
            probability that the trial is the best: of twenty equal trials, one may have a third.
        picks: The trial that each resample picked.
    """

    naive: float
    corrected: float
    low: float
    high: float
    pick_share: Float[np.ndarray, " t"]
    picks: Int[np.ndarray, " b"]


@dataclass(frozen=True)
class SelectableTrial:
    """A trial that may be picked.

    Attributes:
        patient: Patient that each validation sample belongs to.
        value: Value of the trial on all validation samples.
        values: Gives the trial's value under each weighting of the samples.
        estimate: Gives the estimate of the value without each group of patients.
    """

    patient: Sequence[str]
    value: float
    values: Callable[[Float[np.ndarray, "n b"]], Float[np.ndarray, " b"]]
    estimate: Callable[[LeftOut], Estimate]


def selection_bootstrap(
    metric: Metric,
    kind: LabelKind,
    trials: Sequence[Predictions],
    rule: ThresholdRule,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Selection:
    """The selection among trials by their predictions.

    Args:
        metric: An aggregate metric.
        kind: Kind of the labels.
        trials: Validation predictions of one head of every complete trial, all labels known, of the same
            samples.
        rule: Rule of the thresholds of the decisions. All patients choose them once, not each resample anew.
        num_resamples: Number of resamples; fewer, but at least 100, where there are very many trials.
        seed: Seed of the random numbers.

    Raises:
        ValueError: There are no trials, or their samples differ.
    """
    if not trials or any(set(t.sample) != set(trials[0].sample) for t in trials):
        raise ValueError(
            "`trials`: must be at least one, all with predictions of the same validation samples."
        )

    def selectable(predictions: Predictions) -> SelectableTrial:
        decided = DecidedPredictions(
            predictions, decide_validation(predictions.target, predictions.score, kind, rule)
        )
        return SelectableTrial(
            predictions.patient,
            float(metric.compute(decided.evaluation())[0]),
            lambda weights: resampled_values([metric], decided, weights)[metric.name][0],
            lambda left_out: estimate([metric], [decided], left_out)[metric.name][0],
        )

    return select(
        [selectable(predictions) for predictions in trials],
        greater_is_better=metric.greater_is_better,
        num_resamples=num_resamples,
        seed=seed,
    )


def select(
    trials: Sequence[SelectableTrial],
    *,
    greater_is_better: bool,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Selection:
    """In each resample picks the best trial on the drawn patients and scores it on the patients left out.

    Args:
        trials: At least one trial, all with the same patients.
        greater_is_better: False for losses.
        num_resamples: As in `selection_bootstrap`.
        seed: Seed of the random numbers.
    """
    num_resamples = min(num_resamples, max(100, _MAX_EVALUATED // len(trials)))
    resamples = Resamples(trials[0].patient, num_resamples, seed)
    sign = 1 if greater_is_better else -1
    value = np.array([trial.value for trial in trials])
    inside, outside = np.empty((2, len(trials), num_resamples))
    for row, trial in enumerate(trials):
        drawn = resamples.weights(trial.patient)
        both = trial.values(np.hstack([drawn, drawn == 0], dtype=np.float32))
        inside[row], outside[row] = both.reshape(2, -1)
    picks = _best(sign * inside)
    share = np.bincount(picks, minlength=len(trials)) / num_resamples
    num_defined = (~np.isnan(outside)).sum(axis=1)
    change_by_fewer_patients = ratio(np.nansum(outside - value[:, None], axis=1), num_defined)
    picked = outside[picks, np.arange(num_resamples)]
    picked = picked - share[share > 0] @ change_by_fewer_patients[share > 0]
    picked = picked[~np.isnan(picked)]
    corrected = float(picked.mean()) if len(picked) else float("nan")
    chosen = trials[_best(sign * value[:, None])[0]]
    found = chosen.estimate(LeftOut(chosen.patient))
    return Selection(
        naive=chosen.value,
        corrected=corrected,
        low=corrected + found.low - chosen.value,
        high=corrected + found.high - chosen.value,
        pick_share=share,
        picks=picks,
    )


def _best(values: Float[np.ndarray, "t b"]) -> Int[np.ndarray, " b"]:
    """The (first) trial with the greatest value in each column; undefined values never win."""
    best: Int[np.ndarray, " b"] = np.where(np.isnan(values), -np.inf, values).argmax(axis=0)
    return best


def option_shares(pick_share: Float[np.ndarray, " t"], params: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """How probable it is that the best trial has each option of each hyperparameter.

    Numbers with more than `NUM_RANGES` different values are put into ranges with equally many trials. The
    probabilities of a parameter that exists only in some branches add up to the probability that the best
    trial is in such a branch.

    Args:
        pick_share: Share of the resamples that picked each trial, from `selection_bootstrap`.
        params: Parameters of each trial.

    Returns:
        Columns parameter, option, probability, tried (share of the trials).
    """
    rows = []
    for name in sorted({name for trial in params for name in trial}):
        having = [i for i, trial in enumerate(params) if name in trial]
        options = options_of([params[i][name] for i in having])
        for option in sorted(set(options), key=lambda option: option[0]):
            trials = [i for i, own in zip(having, options, strict=True) if own == option]
            rows.append((name, option[1], float(pick_share[trials].sum()), len(trials) / len(params)))
    return pd.DataFrame(rows, columns=["parameter", "option", "probability", "tried"])


def options_of(values: Sequence[Any]) -> list[tuple[Any, str]]:
    """The option of each value of a parameter: what to sort it by, and its text; numbers come into ranges."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers:
        return [(str(v), setting_text(v)) for v in values]
    if len(set(values)) <= NUM_RANGES:
        return [(v, f"{v:g}") for v in values]
    edges = np.quantile(values, np.linspace(0, 1, NUM_RANGES + 1))
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, NUM_RANGES - 1)
    return [(int(p), f"{edges[p]:.3g} to {edges[p + 1]:.3g}") for p in places]
