"""The search's memory: which trials there were, how they went, and so which to try next.

It knows Optuna, but neither Ray nor files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import optuna
from optuna.trial import TrialState

from study.engine.search.pruners import Curve, none, rule_of
from study.engine.search.samplers import distribution, sampler_of
from study.evidence.records import FinishedTrial, State
from study.spec.holes import Scalar
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True, kw_only=True)
class PastTrial:
    """How a trial of the search ended.

    Attributes:
        number: Number of the trial.
        params: Its parameters.
        state: How it ended.
        values: Values of the objectives, the first one to be maximised; empty unless the trial is complete.
        curve: First objective by epoch.
        epochs: Epochs that the trial was asked to train.
    """

    number: int
    params: Mapping[str, Scalar]
    state: State
    values: Sequence[float]
    curve: Mapping[int, float]
    epochs: int

    @classmethod
    def of(cls, number: int, trial: FinishedTrial, curve: Mapping[int, float]) -> Self:
        """What is learnt from the record of a finished trial and its curve."""
        return cls(
            number=number,
            params=trial.params,
            state=trial.state,
            values=list(trial.objectives.values()),
            curve=curve,
            epochs=trial.epochs,
        )

    @property
    def optuna_state(self) -> TrialState:
        """Optuna's state of the trial; without finite values nothing can be learnt from it, so it failed."""
        finite = bool(self.values) and all(math.isfinite(value) for value in self.values)
        return TrialState.FAIL if self.state is State.COMPLETE and not finite else STATES[self.state]

    @property
    def whole_curve(self) -> Curve:
        """The trial's learning curve, to which nothing is added any more."""
        complete = self.optuna_state is TrialState.COMPLETE
        return Curve(self.number, self.epochs, dict(self.curve), complete=complete)


class Suggestions:
    """Optuna's study, rebuilt from records.

    A suggestion depends on the records, the seed and its number alone, not on what this process asked before.

    Args:
        spec: The study.
        past: Finished trials.
        running: Parameters and epochs of unfinished trials, by number.
        minimised: For each objective whether smaller is better.
    """

    def __init__(
        self,
        spec: StudySpec,
        past: Sequence[PastTrial],
        running: Mapping[int, tuple[Mapping[str, Scalar], int]],
        minimised: Sequence[bool],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spec, self._holes, self._given = spec, spec.holes(), spec.planned_params()
        self._distributions = {name: distribution(hole) for name, hole in self._holes.items()}
        search = spec.search
        single = len(minimised) == 1
        self._rule = rule_of(search.pruner, search.min_epochs, search.startup) if single else none
        # In the deterministic order a trial is known only to those that start so many numbers later.
        self._lag = spec.resources.concurrent if search.parallel == "deterministic" else None
        self._study = optuna.create_study(directions=["minimize" if m else "maximize" for m in minimised])
        self._asked: dict[int, optuna.Trial] = {}
        self._held: dict[int, PastTrial] = {}  # finished, but not yet to be known
        self._curves: dict[int, Curve] = {}
        self._best: list[tuple[float, int, dict[str, Scalar]]] = []
        self._rebuild({trial.number: trial for trial in past}, running)

    def _rebuild(
        self,
        past: Mapping[int, PastTrial],
        running: Mapping[int, tuple[Mapping[str, Scalar], int]],
    ) -> None:
        """Tells the study every trial in the order of the numbers, as if it had been there from the start."""
        next_number = max((*past, *running), default=-1) + 1
        for number in sorted((*past, *running)):
            if number in running:
                self._ask_again(number, *running[number])
                continue
            trial = past[number]
            self._remember(trial)
            if self._known(number, next_number):
                self._study.add_trial(self._frozen(trial))
                self._curves[number] = trial.whole_curve
            else:
                self._ask_again(number, trial.params, trial.epochs)
                self._held[number] = trial

    def _known(self, number: int, to_come: int) -> bool:
        """Whether a suggestion may depend on how a trial went."""
        return self._lag is None or number <= to_come - self._lag

    def _searched(self, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The parameters that the study searches now."""
        return {name: value for name, value in params.items() if name in self._distributions}

    def _frozen(self, trial: PastTrial) -> optuna.trial.FrozenTrial:
        state, params = trial.optuna_state, self._searched(trial.params)
        last = max(trial.curve, default=None)
        pruned_at = last if state is TrialState.PRUNED else None
        return optuna.trial.create_trial(
            state=state,
            values=list(trial.values) if state is TrialState.COMPLETE else None,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            intermediate_values={} if pruned_at is None else {pruned_at: trial.curve[pruned_at]},
        )

    def _ask_again(self, number: int, params: Mapping[str, Scalar], epochs: int) -> None:
        """Asks for a running trial with the parameters that it had."""
        self._study.enqueue_trial(self._searched(params))
        trial = self._study.ask()
        self.spec.fill(trial)
        self._asked[number] = trial
        self._curves[number] = Curve(number, epochs)

    @property
    def best(self) -> tuple[float, dict[str, Scalar]] | None:
        """First objective and parameters of the best complete trial."""
        ranked = self.ranked(1)
        return (ranked[0][0], ranked[0][2]) if ranked else None

    def ranked(self, num: int) -> list[tuple[float, int, dict[str, Scalar]]]:
        """First objective, number and parameters of the best complete trials, the best first."""
        return sorted(self._best, key=lambda item: (-item[0], item[1]))[:num]

    def ask(self, number: int) -> tuple[TrialSpec, dict[str, Scalar]] | None:
        """Specification and parameters of a new trial; None while it must wait for another trial to end."""
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
        self._asked[number] = trial
        self._curves[number] = Curve(number, spec.training.epochs)
        return spec, dict(trial.params)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Notes a running trial's first objective; True when the trial is to be stopped."""
        own = self._curves.get(number)
        if own is None or not math.isfinite(value):
            return False
        own.values[epoch] = value
        others = [curve for curve in self._curves.values() if curve is not own]
        if self._lag is not None:
            others = [curve for curve in others if self._counts(curve.number, number)]
        return self._rule(own, epoch, others)

    def _counts(self, other: int, number: int) -> bool:
        """Whether a trial's curve counts for another trial in the deterministic order.

        It does when it is whole and was known when the other trial was suggested.
        """
        return other not in self._asked and self._known(other, number)

    def tell(self, number: int, state: State, values: Sequence[float]) -> None:
        """Notes how a running trial ended; `values` are those of the objectives, empty unless complete."""
        own = self._curves[number]
        trial = PastTrial(
            number=number,
            params=self._asked[number].params,
            state=state,
            values=values,
            curve=dict(own.values),
            epochs=own.epochs,
        )
        self._remember(trial)
        if self._lag is None:
            self._tell(trial)
        else:
            self._held[number] = trial

    def _tell(self, past: PastTrial) -> None:
        trial, state = self._asked.pop(past.number), past.optuna_state
        if state is TrialState.PRUNED and past.curve:
            last = max(past.curve)
            trial.report(past.curve[last], last)
        values = list(past.values) if state is TrialState.COMPLETE else None
        self._study.tell(trial, values, state=state)
        self._curves[past.number] = past.whole_curve

    def _remember(self, trial: PastTrial) -> None:
        if trial.optuna_state is TrialState.COMPLETE:
            self._best.append((trial.values[0], trial.number, dict(trial.params)))
