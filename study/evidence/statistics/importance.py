"""Which hyperparameters mattered, with intervals and with what each would reach by chance.

Source: Watanabe, Bansal & Hutter 2023, PED-ANOVA, and its conditional form (2026), as implemented in Optuna,
which understands parameters that exist in some branches only.
Differs: trials are resampled for intervals. What a parameter reaches by chance is measured by shuffling its
values among the trials that have it. A dummy parameter, drawn at random for each trial, stands beside the
real ones.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from jaxtyping import Float, Int
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from study.evidence.statistics.bootstrap import interval
from study.evidence.statistics.shares import COLUMNS, MIN_TRIALS, NOISE_LEVEL

DUMMY = "dummy (no effect)"
_MAX_EVALUATED = 20_000  # trials times resamples, and again for shuffles: about ten seconds in all


def distributions_of(space: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of a recorded search space.

    Args:
        space: By parameter, {type, low, high, step, log} or {type, choices}.
    """
    found: dict[str, BaseDistribution] = {}
    for name, given in space.items():
        if given["type"] == "categorical":
            found[name] = CategoricalDistribution(given["choices"])
        elif given["type"] == "int":
            step = given["step"] or 1
            found[name] = IntDistribution(given["low"], given["high"], log=given["log"], step=step)
        else:
            found[name] = FloatDistribution(given["low"], given["high"], log=given["log"], step=given["step"])
    return found


def importance(
    params: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    space: Mapping[str, Mapping[str, Any]],
    *,
    num_resamples: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the variance in being a best trial that each parameter explains, with a bootstrap interval.

    Args:
        params: Parameters of the complete trials only, since the value of a pruned trial is not its final
            one; parameters that are not in the search space are left out.
        values: Values of the objective on validation; trials with an undefined one are left out.
        space: The recorded search space.
        num_resamples: Number of resamples of the trials, and of shuffles; fewer where there are very many
            trials.
        seed: Seed of the resamples, of the shuffles and of the dummy's values.

    Returns:
        Columns parameter, importance, low, high, noise (a floor that in 95 % of the shuffles no parameter
        exceeds) and above_noise (whether the importance exceeds it); greatest first, the dummy among them.
        There are no rows for fewer than 10 trials or equal values.
    """
    usable = [i for i, value in enumerate(values) if np.isfinite(value)]
    if len(usable) < MIN_TRIALS or len({values[i] for i in usable}) == 1:
        return pd.DataFrame(columns=COLUMNS)
    distributions = distributions_of(space)
    names = sorted({name for i in usable for name in params[i]} & distributions.keys())
    rng = np.random.default_rng(seed)
    num_resamples = min(num_resamples, max(10, _MAX_EVALUATED // len(usable)))
    dummy = rng.random(len(values))
    given = [
        {**{name: params[i][name] for name in names if name in params[i]}, DUMMY: dummy[i]} for i in usable
    ]
    known, every = np.array(values)[usable], np.arange(len(usable))
    named = [*names, DUMMY]

    def shares(of: Sequence[Mapping[str, Any]], rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, " p"]:
        trials = [_optuna_trial(of[i], float(known[i]), distributions) for i in rows]
        return _importances(trials, named)

    point = shares(given, every)
    resampled = [shares(given, rng.choice(every, len(every))) for _ in range(num_resamples)]
    shuffled = [shares(_shuffled(given, named, rng), every) for _ in range(num_resamples)]
    total = point.sum() or 1.0
    noise = _floors(np.array(shuffled) / total)
    table = []
    for column, name in enumerate(named):
        low, high = interval(np.array([share[column] / (share.sum() or 1.0) for share in resampled]))
        share = float(point[column] / total)
        table.append((name, share, low, high, noise[column], name != DUMMY and share > noise[column]))
    return pd.DataFrame(table, columns=COLUMNS).sort_values("importance", ascending=False, ignore_index=True)


def _floors(shuffled: Float[np.ndarray, "b p"]) -> Float[np.ndarray, " p"]:
    """What each parameter may reach by chance: its own 95 % point, raised alike for all of them.

    With many parameters one or another exceeds its own point. Raised, none does in 95 % of the shuffles.
    """
    own: Float[np.ndarray, " p"] = np.quantile(shuffled, NOISE_LEVEL, axis=0)
    varies = own > 0
    if not varies.any():
        return own
    return own * max(1.0, float(np.quantile((shuffled[:, varies] / own[varies]).max(1), NOISE_LEVEL)))


def _shuffled(
    params: Sequence[Mapping[str, Any]], names: Sequence[str], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The parameters with the values of each in another order among the trials that have it."""
    found: list[dict[str, Any]] = [{} for _ in params]
    for name in names:
        having = [i for i, own in enumerate(params) if name in own]
        for to, source in zip(having, rng.permutation(having), strict=True):
            found[to][name] = params[source][name]
    return found


def _optuna_trial(
    params: Mapping[str, Any], value: float, distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    own = {name: distributions.get(name, FloatDistribution(0, 1)) for name in params}  # the dummy is in none
    return create_trial(params=dict(params), distributions=own, value=value)


def _importances(trials: Sequence[FrozenTrial], names: Sequence[str]) -> Float[np.ndarray, " p"]:
    """Importances of the names, not normalised; 0 for a parameter that no trial has."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
        study.add_trials(trials)
        best_share = min(0.5, max(0.1, 5 / len(trials)))  # at least five trials count as the best ones
        evaluator = PedAnovaImportanceEvaluator(target_quantile=best_share)
        with warnings.catch_warnings():
            # Optuna warns of branches with few trials; here they have wide intervals.
            warnings.filterwarnings("ignore", message="Some regimes for parameter")
            found = evaluator.evaluate(study)
    finally:
        optuna.logging.set_verbosity(level)
    return np.array([found.get(name, 0.0) for name in names])
