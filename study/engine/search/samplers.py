"""Who suggests the next configuration: a sampler made anew for each suggestion, so that it depends on nothing but the records.

Its randomness comes from the seed and the trial's number, never from how many suggestions this process has made: a study
that was interrupted suggests what it would have suggested.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from cmaes import CMA  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from study.spec.holes import Hole
from study.spec.searching import SearchSpec, always_there

GP_TRIALS = 300  # a Gaussian process costs the cube of its trials; beyond these TPE goes on
CMA_TRIALS = 1000  # the evolution path forgets in some tens of generations; older ones would only cost time

Distributions = Mapping[str, BaseDistribution]


def distribution(hole: Hole) -> BaseDistribution:
    """Optuna's distribution of a hole."""
    if hole.choices is not None:
        return CategoricalDistribution(list(hole.choices))
    if hole.kind == "int":
        return IntDistribution(int(hole.low), int(hole.high), log=hole.log, step=int(hole.step or 1))
    return FloatDistribution(hole.low, hole.high, log=hole.log, step=hole.step)


def sampler_of(search: SearchSpec, holes: Mapping[str, Hole], number: int) -> BaseSampler:
    """The sampler of one suggestion.

    Args:
        search: what the study asks for.
        holes: its parameters.
        number: of the trial to come.
    """
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])

    def tpe() -> BaseSampler:
        with warnings.catch_warnings():
            # `group` is experimental, and the documented setting for spaces with branches.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=seed, n_startup_trials=search.startup, multivariate=True, group=True, constant_liar=True
            )

    def gp() -> BaseSampler:
        if number >= GP_TRIALS:
            return tpe()
        return GPSampler(
            seed=seed,
            n_startup_trials=search.startup,
            independent_sampler=tpe(),
            warn_independent_sampling=False,
        )

    samplers: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": tpe,
        "gp": gp,
        "cmaes": lambda: Evolution(holes, search.startup, seed, tpe()),
        "random": lambda: RandomSampler(seed=seed),
        "qmc": lambda: SobolPoint(list(holes), search.seed, number),
        "grid": lambda: RandomSampler(seed=seed),  # every parameter is given
    }
    return samplers[search.sampler]()


class SobolPoint(BaseSampler):
    """Point `number` of a scrambled Sobol sequence over all parameters; a branch reads its own coordinates.

    Optuna's own sampler counts its points in the study, knows no branches and draws at random until the first trial ends.
    """

    def __init__(self, names: list[str], seed: int, number: int) -> None:
        points = qmc.Sobol(max(1, len(names)), scramble=True, seed=seed)
        if number:
            points.fast_forward(number)
        self._point = dict(zip(names, points.random(1)[0], strict=False))

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: each parameter has its own coordinate."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing: each parameter has its own coordinate."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parameter's coordinate in its range."""
        return from_unit(param_distribution, float(self._point[param_name]))


class Evolution(BaseSampler):
    """CMA-ES over the numbers that every trial has; the rest is another sampler's (Hansen 2016).

    The strategy is fed with the complete trials in the order of their numbers, a generation at a time, whoever suggested
    them. Optuna's own sampler keeps its state in the trials' notes, which the records do not hold.

    Args:
        holes: all parameters.
        startup: complete trials before it begins.
        seed: of this suggestion.
        rest: suggests the other parameters, and all of them before.
    """

    def __init__(self, holes: Mapping[str, Hole], startup: int, seed: int, rest: BaseSampler) -> None:
        self._distributions = {
            n: distribution(holes[n]) for n in always_there(holes) if holes[n].choices is None
        }
        self._startup, self._seed, self._rest = startup, seed, rest

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers that every trial has."""
        return dict(self._distributions)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A point of the generation that follows the complete trials."""
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(told) < self._startup:
            return {}
        cube = np.array([[0.0, 1.0]] * len(search_space))
        strategy = CMA(mean=np.full(len(cube), 0.5), sigma=0.3, bounds=cube, seed=self._seed)
        size = strategy.population_size
        generations = [told[i : i + size] for i in range(0, len(told) - size + 1, size)]
        for generation in generations[-(CMA_TRIALS // size) :]:
            if strategy.should_stop():  # it has converged: look elsewhere from here on
                strategy = CMA(
                    mean=np.full(len(cube), 0.5),
                    sigma=0.3,
                    bounds=cube,
                    seed=self._seed,
                    population_size=size,
                )
            strategy.tell(
                [
                    (
                        np.array([to_unit(d, t.params[n]) for n, d in search_space.items()]),
                        -float(t.values[0]),
                    )
                    for t in generation
                ]
            )
        return {
            name: from_unit(d, float(u))
            for (name, d), u in zip(search_space.items(), strategy.ask(), strict=True)
        }

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The other sampler's suggestion."""
        return self._rest.sample_independent(study, trial, param_name, param_distribution)


def from_unit(of: BaseDistribution, u: float) -> Any:
    """The value at share u of a range (on its scale), 0 ≤ u ≤ 1; each choice and each step has an equal part of the unit."""
    if isinstance(of, CategoricalDistribution):
        return of.choices[min(int(u * len(of.choices)), len(of.choices) - 1)]
    assert isinstance(of, FloatDistribution | IntDistribution)
    if of.step is not None and not of.log:
        count = round((of.high - of.low) / of.step) + 1
        return type(of.low)(of.low + min(int(u * count), count - 1) * of.step)
    if not of.log:
        return of.low + u * (of.high - of.low)
    half = 0.5 if isinstance(of, IntDistribution) else 0.0
    low, high = math.log(of.low - half), math.log(of.high + half)
    value = math.exp(low + u * (high - low))
    return min(max(round(value), of.low), of.high) if half else min(max(value, of.low), of.high)


def to_unit(of: BaseDistribution, value: Any) -> float:
    """The middle of the part of the unit that `from_unit` takes to the value; of numbers only."""
    assert isinstance(of, FloatDistribution | IntDistribution)
    if of.step is not None and not of.log:
        count = round((of.high - of.low) / of.step) + 1
        return float((round((value - of.low) / of.step) + 0.5) / count)
    if of.log:
        half = 0.5 if isinstance(of, IntDistribution) else 0.0
        low, high = math.log(of.low - half), math.log(of.high + half)
        return (math.log(value) - low) / (high - low) if high > low else 0.5
    return float((value - of.low) / (of.high - of.low)) if of.high > of.low else 0.5
