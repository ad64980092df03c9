"""Which hyperparameters mattered, with an interval and with the noise that a parameter without any effect would show.

Source: Watanabe, Bansal & Hutter 2023, PED-ANOVA, and its conditional form (2026), as implemented in Optuna, which
understands parameters that exist in some branches only.
Differs: importances are shown beside a dummy parameter, drawn at random for each trial, and resampled over trials.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, create_trial

from study.evidence.statistics.bootstrap import interval

DUMMY = "dummy (no effect)"
MIN_TRIALS = 10  # with fewer, the best tenth is a single trial
_MAX_EVALUATED = 40_000  # trials over all resamples: about ten seconds
_NOISE_LEVEL = 0.95


def distributions_of(space: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of a recorded search space: {parameter: {type, low, high, step, log} or {type, choices}}."""
    found: dict[str, BaseDistribution] = {}
    for name, hole in space.items():
        if hole["type"] == "categorical":
            found[name] = CategoricalDistribution(hole["choices"])
        elif hole["type"] == "int":
            found[name] = IntDistribution(hole["low"], hole["high"], log=hole["log"], step=hole["step"] or 1)
        else:
            found[name] = FloatDistribution(hole["low"], hole["high"], log=hole["log"], step=hole["step"])
    return found


def importance(
    params: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    space: Mapping[str, Mapping[str, Any]],
    greater_is_better: bool = True,
    num_resamples: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the variance in reaching the best trials that each parameter explains, with a bootstrap interval over trials.

    Args:
        params: of the complete trials only (a pruned trial's value is no value); what the search space does not know is left out.
        values: of the objective on validation; undefined ones are left out.
        space: the recorded search space.
        greater_is_better: whether the objective is maximised.
        num_resamples: resamples of the trials; fewer where there are very many trials.
        seed: of the resamples and of the dummy's values.

    Returns:
        columns parameter, importance, low, high, noise (95 % point of the dummy's importance over the resamples),
        above_noise (whether `low` exceeds it); greatest first, the dummy among them. No rows for fewer than 10 trials
        or equal values.
    """
    columns = ["parameter", "importance", "low", "high", "noise", "above_noise"]
    usable = [i for i, value in enumerate(values) if np.isfinite(value)]
    if len(usable) < MIN_TRIALS or len({values[i] for i in usable}) == 1:
        return pd.DataFrame(columns=columns)
    distributions = distributions_of(space)
    names = sorted({name for i in usable for name in params[i]} & distributions.keys())
    rng = np.random.default_rng(seed)
    num_resamples = min(num_resamples, max(20, _MAX_EVALUATED // len(usable)))
    found = []
    for resample in range(num_resamples + 1):
        rows = np.array(usable) if resample == 0 else rng.choice(usable, len(usable))
        dummy = rng.random(len(values))
        trials = [_trial(params[i], values[i], dummy[i], distributions) for i in rows]
        found.append(_importances(trials, names, greater_is_better))
    shares = np.array(found)
    noise = interval(shares[1:, -1], 2 * _NOISE_LEVEL - 1)[1]
    table = []
    for column, name in enumerate([*names, DUMMY]):
        low, high = interval(shares[1:, column])
        point = shares[1:, column].mean() if name == DUMMY else shares[0, column]
        table.append((name, float(point), low, high, noise, name != DUMMY and low > noise))
    return pd.DataFrame(table, columns=columns).sort_values("importance", ascending=False, ignore_index=True)


def _trial(
    params: Mapping[str, Any], value: float, dummy: float, distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    own = {name: distribution for name, distribution in distributions.items() if name in params}
    chosen = {name: params[name] for name in own}
    return create_trial(
        params={**chosen, DUMMY: dummy}, distributions={**own, DUMMY: FloatDistribution(0, 1)}, value=value
    )


def _importances(trials: Sequence[FrozenTrial], names: Sequence[str], greater_is_better: bool) -> list[float]:
    """Normalised importances of the names and then the dummy; 0 for a parameter that no trial of the resample has."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize" if greater_is_better else "minimize")
        study.add_trials(trials)
        best_share = min(0.5, max(0.1, 5 / len(trials)))  # at least five trials count as the best ones
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Some regimes for parameter"
            )  # rare branches show as wide intervals
            found = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best_share)
            )
    finally:
        optuna.logging.set_verbosity(level)
    return [float(found.get(name, 0.0)) for name in [*names, DUMMY]]
