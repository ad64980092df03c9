"""The samplers, which suggest the parameters of the next trial.

A sampler is made anew for each suggestion, so that it depends on nothing but the records. Its randomness
comes from the seed and the number of the trial, not from how many suggestions this process has made: a study
that was interrupted suggests what it would have suggested without the interruption.
"""

import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from cmaes import CMA
from jaxtyping import Float
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from study.spec.holes import Hole, Scalar
from study.spec.searching import SearchSpec, unconditional

GP_TRIALS = 300  # a Gaussian process costs the cube of its trials, so TPE takes over after these
CMA_TRIALS = 1000  # the evolution path forgets within some tens of generations; more trials only cost time

_NumberRange = FloatDistribution | IntDistribution


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
        search: What the study asks for.
        holes: Parameters of the study.
        number: Number of the trial that is to be suggested.
    """
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    samplers: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: _parzen(search, seed),
        "gp": lambda: _gaussian_process(search, seed) if number < GP_TRIALS else _parzen(search, seed),
        "cmaes": lambda: Evolution(holes, search.startup, seed, _parzen(search, seed)),
        "random": lambda: RandomSampler(seed=seed),
        "qmc": lambda: SobolPoint(list(holes), search.seed, number),
        "grid": lambda: RandomSampler(seed=seed),  # it draws nothing: a grid gives every parameter
    }
    return samplers[search.sampler]()


def _parzen(search: SearchSpec, seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        # `group` is experimental, but it is the documented setting for spaces with branches.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            seed=seed,
            n_startup_trials=search.startup,
            multivariate=True,
            group=True,
            constant_liar=True,
        )


def _gaussian_process(search: SearchSpec, seed: int) -> BaseSampler:
    return GPSampler(
        seed=seed,
        n_startup_trials=search.startup,
        independent_sampler=_parzen(search, seed),
        warn_independent_sampling=False,
    )


class SobolPoint(BaseSampler):
    """One point of a scrambled Sobol sequence, which has a coordinate for each parameter of the study.

    A parameter inside a branch has its own coordinate, too, which is read only where the branch is taken.

    Differs: Optuna's own sampler counts its points in the study, knows no branches and draws at random until
    the first trial ends.

    Args:
        names: Names of all parameters.
        seed: Seed of the scrambling.
        number: Number of the point, from 0.
    """

    def __init__(self, names: list[str], seed: int, number: int) -> None:
        sequence = qmc.Sobol(max(1, len(names)), scramble=True, seed=seed)
        if number:
            sequence.fast_forward(number)
        coordinates = sequence.random(1)[0]
        self._point = {name: float(coordinate) for name, coordinate in zip(names, coordinates, strict=False)}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """No parameters: each has its own coordinate."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Scalar]:
        """No values: each parameter has its own coordinate."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Scalar:
        """The value at the parameter's coordinate."""
        return self.value(param_name, param_distribution)

    def value(self, name: str, of: BaseDistribution) -> Scalar:
        """The value of a parameter at its coordinate."""
        return from_unit(of, self._point[name])


def sobol_values(holes: Mapping[str, Hole], seed: int, number: int) -> dict[str, Scalar]:
    """The values of some parameters at one point of a scrambled Sobol sequence; arguments as `SobolPoint`."""
    point = SobolPoint(list(holes), seed, number)
    return {name: point.value(name, distribution(hole)) for name, hole in holes.items()}


class Evolution(BaseSampler):
    """CMA-ES over the numbers that every trial has; another sampler suggests all other parameters.

    The strategy learns from the complete trials in the order of their numbers, one generation after another,
    whichever sampler suggested them.

    Source: Hansen 2016.
    Differs: Optuna's own sampler keeps its state in notes on the trials, and the records have no such notes.

    Args:
        holes: All parameters.
        startup: Number of complete trials that there must be before the strategy begins.
        seed: Seed of this suggestion.
        other: Sampler of the other parameters, and of all parameters before the strategy begins.
    """

    def __init__(self, holes: Mapping[str, Hole], startup: int, seed: int, other: BaseSampler) -> None:
        numbers = [name for name in unconditional(holes) if holes[name].choices is None]
        self._distributions = {name: distribution(holes[name]) for name in numbers}
        self._startup = startup
        self._seed = seed
        self._other = other

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers that every trial has."""
        return dict(self._distributions)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Scalar]:
        """One point of the generation that follows the complete trials; empty before the strategy begins."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < self._startup:
            return {}
        strategy = self._new_strategy(len(search_space))
        size = strategy.population_size
        generations = [complete[i : i + size] for i in range(0, len(complete) - size + 1, size)]
        for generation in generations[-(CMA_TRIALS // size) :]:
            if strategy.should_stop():  # it has converged: a new one looks elsewhere
                strategy = self._new_strategy(len(search_space))
            strategy.tell([_solution(past, search_space) for past in generation])
        point = zip(search_space.items(), strategy.ask(), strict=True)
        return {name: from_unit(of, float(share)) for (name, of), share in point}

    def _new_strategy(self, num_parameters: int) -> CMA:
        cube = np.array([[0.0, 1.0]] * num_parameters)
        return CMA(mean=np.full(num_parameters, 0.5), sigma=0.3, bounds=cube, seed=self._seed)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Scalar:
        """The suggestion of the other sampler."""
        value: Scalar = self._other.sample_independent(study, trial, param_name, param_distribution)
        return value


def _solution(
    trial: FrozenTrial, space: Mapping[str, BaseDistribution]
) -> tuple[Float[np.ndarray, " d"], float]:
    """A trial as the strategy takes it: a point in the unit cube, and a value that is better when smaller."""
    point = np.array([to_unit(of, trial.params[name]) for name, of in space.items()])
    return point, -float(trial.values[0])


def from_unit(of: BaseDistribution, share: float) -> Scalar:
    """The value at a share of a range, on the scale of the range.

    Each choice, and each step of a range with steps, has an equal part of the unit.

    Args:
        of: The range.
        share: The share, 0 to 1.
    """
    if isinstance(of, CategoricalDistribution):
        return of.choices[min(int(share * len(of.choices)), len(of.choices) - 1)]
    assert isinstance(of, _NumberRange)
    if of.step is not None and not of.log:
        place = min(int(share * _num_steps(of, of.step)), _num_steps(of, of.step) - 1)
        return type(of.low)(of.low + place * of.step)
    if not of.log:
        return of.low + share * (of.high - of.low)
    low, high = _log_ends(of)
    value = math.exp(low + share * (high - low))
    if isinstance(of, IntDistribution):
        value = round(value)
    return min(max(value, of.low), of.high)


def to_unit(of: BaseDistribution, value: Scalar) -> float:
    """The middle of the part of the unit that `from_unit` takes to this value; for numbers only."""
    assert isinstance(of, _NumberRange)
    assert isinstance(value, int | float)
    if of.step is not None and not of.log:
        return float((round((value - of.low) / of.step) + 0.5) / _num_steps(of, of.step))
    low, high = _log_ends(of) if of.log else (of.low, of.high)
    place = math.log(value) if of.log else value
    return float((place - low) / (high - low)) if high > low else 0.5


def _num_steps(of: _NumberRange, step: float) -> int:
    return round((of.high - of.low) / step) + 1


def _log_ends(of: _NumberRange) -> tuple[float, float]:
    """The ends of a range on the logarithmic scale; a whole number has 0.5 of room on both sides."""
    half = 0.5 if isinstance(of, IntDistribution) else 0.0
    return math.log(of.low - half), math.log(of.high + half)
