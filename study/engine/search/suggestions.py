"""The search's memory: what each trial was, how it went, and so what to try next. It knows Optuna, but no Ray and no files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from study.engine.search.pruners import Curve, none, rule_of
from study.engine.search.samplers import distribution, sampler_of
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class Told:
    """How a trial of the search ended.

    Attributes:
        number: of the trial.
        params: its parameters.
        state: complete, pruned or failed.
        values: of the objectives, the first one being what is maximised on validation; empty unless complete.
        curve: the first objective by epoch.
        epochs: that it was asked to train.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    values: Sequence[float]
    curve: Mapping[int, float]
    epochs: int


class Suggestions:
    """Optuna's study, rebuilt from records; every suggestion depends on them, the seed and its number alone.

    Args:
        spec: the study.
        told: finished trials.
        running: parameters and epochs of unfinished ones, by number.
        minimised: for each objective whether smaller is better.
    """

    def __init__(
        self,
        spec: StudySpec,
        told: Sequence[Told],
        running: Mapping[int, tuple[Mapping[str, Any], int]],
        minimised: Sequence[bool],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spec, self._holes, self._given = spec, spec.holes(), spec.given()
        self._distributions = {name: distribution(hole) for name, hole in self._holes.items()}
        search = spec.search
        self._rule = (
            rule_of(search.pruner, search.min_epochs, search.startup) if len(minimised) == 1 else none
        )
        self._lag = spec.resources.concurrent if search.parallel == "deterministic" else None
        self._study = optuna.create_study(directions=["minimize" if m else "maximize" for m in minimised])
        self._asked: dict[int, optuna.Trial] = {}
        self._held: dict[int, Told] = {}  # finished, but not yet to be known
        self._curves: dict[int, Curve] = {}
        self._best: list[tuple[float, int, dict[str, Any]]] = []
        self._rebuild({t.number: t for t in told}, running)

    def _rebuild(
        self, told: Mapping[int, Told], running: Mapping[int, tuple[Mapping[str, Any], int]]
    ) -> None:
        """Tells the study every trial in the order of the numbers, as if it had been there from the start."""
        next_number = max((*told, *running), default=-1) + 1
        for number in sorted((*told, *running)):
            if number in running:
                self._ask_again(number, *running[number])
                continue
            trial = told[number]
            self._remember(trial)
            if self._known(number, next_number):
                self._study.add_trial(self._frozen(trial))
                self._curves[number] = _whole_curve(trial)
            else:
                self._ask_again(number, trial.params, trial.epochs)
                self._held[number] = trial

    def _known(self, number: int, to_come: int) -> bool:
        """Whether a suggestion may depend on how a trial went."""
        return self._lag is None or number <= to_come - self._lag

    def _frozen(self, told: Told) -> optuna.trial.FrozenTrial:
        state = _honest(told)
        params = {name: value for name, value in told.params.items() if name in self._distributions}
        last = max(told.curve, default=None)
        return optuna.trial.create_trial(
            state=state,
            values=list(told.values) if state is TrialState.COMPLETE else None,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            intermediate_values={last: told.curve[last]}
            if state is TrialState.PRUNED and last is not None
            else {},
        )

    def _ask_again(self, number: int, params: Mapping[str, Any], epochs: int) -> None:
        """A running trial with the parameters that it had."""
        self._study.enqueue_trial(
            {name: value for name, value in params.items() if name in self._distributions}
        )
        trial = self._study.ask()
        self.spec.fill(trial)
        self._asked[number], self._curves[number] = trial, Curve(number, epochs)

    @property
    def best(self) -> tuple[float, dict[str, Any]] | None:
        """First objective and parameters of the best complete trial."""
        ranked = self.ranked(1)
        return (ranked[0][0], ranked[0][2]) if ranked else None

    def ranked(self, num: int) -> list[tuple[float, int, dict[str, Any]]]:
        """First objective, number and parameters of the best complete trials, the best first."""
        return sorted(self._best, key=lambda item: (-item[0], item[1]))[:num]

    def ask(self, number: int) -> tuple[TrialSpec, dict[str, Any]] | None:
        """The specification and parameters of a new trial; None while it must wait for another to end."""
        due = [n for n in self._asked if self._lag is not None and self._known(n, number)]
        if any(n not in self._held for n in due):
            return None
        for n in sorted(due):
            self._tell(self._held.pop(n))
        if number < len(self._given):
            self._study.enqueue_trial(self._given[number])
        self._study.sampler = sampler_of(self.spec.search, self._holes, number)
        trial = self._study.ask()
        spec = self.spec.fill(trial)
        self._asked[number], self._curves[number] = trial, Curve(number, spec.training.epochs)
        return spec, dict(trial.params)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Notes a running trial's first objective; True when it is to be stopped."""
        own = self._curves.get(number)
        if own is None or not math.isfinite(value):
            return False
        own.values[epoch] = value
        seen = [
            c
            for c in self._curves.values()
            if c is not own and (self._lag is None or self._judges(c.number, number))
        ]
        return self._rule(own, epoch, seen)

    def _judges(self, other: int, number: int) -> bool:
        """Whether a trial's curve counts for another one's in the deterministic order: whole, and known when that one was suggested."""
        return other not in self._asked and self._known(other, number)

    def tell(self, number: int, state: str, values: Sequence[float]) -> None:
        """Notes how a running trial ended: complete with the objectives' values, pruned or failed."""
        own = self._curves[number]
        told = Told(number, self._asked[number].params, state, values, dict(own.values), own.epochs)
        self._remember(told)
        if self._lag is None:
            self._tell(told)
        else:
            self._held[number] = told

    def _tell(self, told: Told) -> None:
        trial, state = self._asked.pop(told.number), _honest(told)
        if state is TrialState.PRUNED and told.curve:
            last = max(told.curve)
            trial.report(told.curve[last], last)
        self._study.tell(trial, list(told.values) if state is TrialState.COMPLETE else None, state=state)
        self._curves[told.number] = _whole_curve(told)

    def _remember(self, told: Told) -> None:
        if _honest(told) is TrialState.COMPLETE:
            self._best.append((told.values[0], told.number, dict(told.params)))


def _whole_curve(told: Told) -> Curve:
    return Curve(told.number, told.epochs, dict(told.curve), _honest(told) is TrialState.COMPLETE)


def _honest(told: Told) -> TrialState:
    """A trial without finite values is none to learn from."""
    finite = bool(told.values) and all(math.isfinite(v) for v in told.values)
    return TrialState.FAIL if told.state == "complete" and not finite else STATES[told.state]
