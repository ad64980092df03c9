"""Which hyperparameters mattered, with intervals and with the noise of a parameter that has no effect.

Source: Watanabe, Bansal & Hutter 2023, PED-ANOVA, and its conditional form (2026), as implemented in Optuna,
which understands parameters that exist in some branches only.
Differs: a dummy parameter, drawn at random for each trial, stands beside the real ones, and trials are
resampled.
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
from study.evidence.statistics.shares import COLUMNS, MIN_TRIALS, NOISE_LEVEL

DUMMY = "dummy (no effect)"
_MAX_EVALUATED = 40_000  # trials times resamples: about ten seconds


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
    greater_is_better: bool = True,
    num_resamples: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the variance in being a best trial that each parameter explains, with a bootstrap interval.

    Args:
        params: Parameters of the complete trials only, since the value of a pruned trial is not its final
            one; parameters that are not in the search space are left out.
        values: Values of the objective on validation; trials with an undefined one are left out.
        space: The recorded search space.
        greater_is_better: Whether the objective is maximised.
        num_resamples: Number of resamples of the trials; fewer where there are very many trials.
        seed: Seed of the resamples and of the dummy's values.

    Returns:
        Columns parameter, importance, low, high, noise (95 % point of the dummy's importance over the
        resamples) and above_noise (whether `low` exceeds it); greatest first, the dummy among them. There are
        no rows for fewer than 10 trials or equal values.
    """
    usable = [i for i, value in enumerate(values) if np.isfinite(value)]
    if len(usable) < MIN_TRIALS or len({values[i] for i in usable}) == 1:
        return pd.DataFrame(columns=COLUMNS)
    distributions = distributions_of(space)
    names = sorted({name for i in usable for name in params[i]} & distributions.keys())
    rng = np.random.default_rng(seed)
    num_resamples = min(num_resamples, max(20, _MAX_EVALUATED // len(usable)))
    found = []
    for resample in range(num_resamples + 1):  # the first one is the trials themselves
        rows = np.array(usable) if resample == 0 else rng.choice(usable, len(usable))
        dummy = rng.random(len(values))
        trials = [_optuna_trial(params[i], values[i], dummy[i], distributions) for i in rows]
        found.append(_importances(trials, names, greater_is_better=greater_is_better))
    shares = np.array(found)
    noise = interval(shares[1:, -1], 2 * NOISE_LEVEL - 1)[1]
    table = []
    for column, name in enumerate([*names, DUMMY]):
        low, high = interval(shares[1:, column])
        point = shares[1:, column].mean() if name == DUMMY else shares[0, column]
        table.append((name, float(point), low, high, noise, name != DUMMY and low > noise))
    return pd.DataFrame(table, columns=COLUMNS).sort_values("importance", ascending=False, ignore_index=True)


def _optuna_trial(
    params: Mapping[str, Any], value: float, dummy: float, distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    own = {name: distribution for name, distribution in distributions.items() if name in params}
    chosen = {name: params[name] for name in own}
    return create_trial(
        params={**chosen, DUMMY: dummy}, distributions={**own, DUMMY: FloatDistribution(0, 1)}, value=value
    )


def _importances(
    trials: Sequence[FrozenTrial], names: Sequence[str], *, greater_is_better: bool
) -> list[float]:
    """Normalised importances of the names and then of the dummy; 0 for a parameter that no trial has."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize" if greater_is_better else "minimize")
        study.add_trials(trials)
        best_share = min(0.5, max(0.1, 5 / len(trials)))  # at least five trials count as the best ones
        evaluator = PedAnovaImportanceEvaluator(target_quantile=best_share)
        with warnings.catch_warnings():
            # Optuna warns of branches with few trials; here they have wide intervals.
            warnings.filterwarnings("ignore", message="Some regimes for parameter")
            found = get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    return [float(found.get(name, 0.0)) for name in [*names, DUMMY]]
