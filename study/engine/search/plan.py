"""What to run next: suggestions of the search, then repeats of its best trials, ablations and baselines.

The records are the memory: the Parquet of finished trials and the orders of unfinished ones are enough to go
on. The plan knows no Ray.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.following import (
    finetune_key,
    following,
    following_keys,
    search_key,
    trainings,
    tuned_variants,
)
from study.engine.search.suggestions import PastTrial, Suggestions
from study.evidence.records import CONTENDERS, FinishedTrial, Outcome, Role, State
from study.spec.holes import Scalar
from study.spec.study_file import StudySpec

Curves = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class TrialResult:
    """What the plan keeps of a finished trial.

    Attributes:
        role: What the trial was run for.
        state: How it ended.
        value: First objective on validation; None where there is none.
        params: What was suggested for it.
    """

    role: Role
    state: State
    value: float | None = None
    params: Mapping[str, Scalar] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: FinishedTrial) -> Self:
        """The result of a recorded trial."""
        return cls(trial.role, trial.state, trial.value, trial.params)


class Plan:
    """Orders in their turn, and what became of them.

    Args:
        spec: The study.
        finished: Trials that have a record.
        curves: First objective of each finished trial by its epochs, for the pruner.
        interrupted: Orders that were given out before and never finished; they come first, unchanged.
        minimised: For each objective whether smaller is better; for the first one it never is.

    Attributes:
        finished: Result of every finished trial, by key.
        stopped: Why nothing more is given out; empty while all is well.
    """

    def __init__(
        self,
        spec: StudySpec,
        finished: Sequence[FinishedTrial],
        curves: Curves,
        interrupted: Sequence[TrialOrder],
        minimised: Sequence[bool] = (False,),
    ) -> None:
        self.spec, self.stopped = spec, ""
        self.finished = {trial.trial: TrialResult.of(trial) for trial in finished}
        self._running: dict[str, TrialOrder] = {}
        self._pruned: set[str] = set()
        self._waiting = deque(interrupted)
        self._followed_up = False
        self._in_tuning = tuned_variants(spec)
        self._trained = {
            trial.fingerprint: trial.trial
            for trial in finished
            if trial.state is State.COMPLETE and trial.role not in (Role.BASELINE, Role.ENSEMBLE)
        }
        self._failures: list[str] = []
        searched = {
            trial.number: trial
            for trial in finished
            if trial.number is not None and trial.role is Role.SEARCH
        }
        going_on = {
            order.number: (order.params, order.trial_spec().training.epochs)
            for order in interrupted
            if order.number is not None
        }
        past = [
            PastTrial.of(number, trial, curves.get(trial.trial, {})) for number, trial in searched.items()
        ]
        self._num_trials = spec.num_trials
        self._suggestions = Suggestions(spec, past, going_on, minimised)
        self._next_number = max([*searched, *going_on], default=-1) + 1
        self._follow_up()

    @property
    def keys(self) -> list[str]:
        """Keys of all orders, those to come included as far as they are known."""
        search = [search_key(number) for number in range(self._num_trials)]
        best = [finetune_key(number) for number in range(self.spec.num_finetuned)]  # in the place of others
        return [*dict.fromkeys([*self.finished, *self._running, *search, *best, *following_keys(self.spec)])]

    @property
    def num_left(self) -> int:
        """Orders still to be given out, interrupted ones included."""
        missing = self._missing(following_keys(self.spec))
        of_best = {Role.FINETUNE: self.spec.num_finetuned, Role.CONFIRM: self.spec.num_repeats}
        num_of_best = sum(max(0, num - self._num_known(role)) for role, num in of_best.items())
        to_come = self._num_search_left() + (0 if self._followed_up else num_of_best)
        return len(self._waiting) + to_come + len(missing)

    @property
    def running(self) -> int:
        """Orders given out and not finished."""
        return len(self._running)

    @property
    def best(self) -> tuple[float, dict[str, Scalar]] | None:
        """Validation value and parameters of the search's best complete trial."""
        return self._suggestions.best

    @property
    def best_value(self) -> float | None:
        """Validation value of the best complete trial of the search, or fine-tuned; None without one."""
        values = [
            result.value
            for result in self.finished.values()
            if result.role in CONTENDERS and result.state is State.COMPLETE and result.value is not None
        ]
        return max((value for value in values if math.isfinite(value)), default=None)

    def best_keys(self, num: int) -> list[str]:
        """Keys of the search's best complete trials, the best first."""
        return [search_key(number) for _, number, _ in self._suggestions.ranked(num)]

    @property
    def starts(self) -> set[str]:
        """Keys of the trials whose weights an unfinished order starts from."""
        return {order.start for order in (*self._running.values(), *self._waiting)} - {""}

    @property
    def done(self) -> bool:
        """Whether every order has been given out and none can come back."""
        return not self._running and (bool(self.stopped) or self.num_left == 0)

    def next(self) -> TrialOrder | None:
        """The next order; None at the end of the plan, or while the next one depends on a running trial."""
        if self.stopped:
            return None
        if not self._waiting and self._num_search_left() > 0:
            self._suggest()
        if self._followed_up:
            self._add(self._tuned())
        running = {order.fingerprint() for order in self._running.values() if order.trains}
        for _ in range(len(self._waiting)):
            order = self._waiting.popleft()
            if order.trains and order.fingerprint() in running:
                self._waiting.append(order)  # the same training: its result will do for both
                continue
            self._running[order.key] = order
            return order
        return None

    def same_training(self, order: TrialOrder) -> str | None:
        """Key of a complete trial whose training is that of an order; None where there is none."""
        return self._trained.get(order.fingerprint()) if order.trains else None

    def again(self, order: TrialOrder) -> None:
        """Puts a running order back in the first place, perhaps changed."""
        del self._running[order.key]
        self._waiting.appendleft(order)

    def stop(self, reason: str) -> None:
        """Gives nothing more out."""
        self.stopped = reason

    def report(self, key: str, epoch: int, value: float, *, judged: bool = True) -> bool:
        """Notes an epoch of a running trial; True when the pruner stops it, which it does in the search only.

        Args:
            key: Key of the order.
            epoch: Number of the epoch, from 1.
            value: First objective.
            judged: False for an epoch from before an interruption, which was judged when it was new.
        """
        order = self._running[key]
        if order.number is None:
            return False
        stops = self._suggestions.report(order.number, epoch, value) and judged
        if stops:
            self._pruned.add(key)
        return stops

    def was_stopped(self, key: str) -> bool:
        """Whether the pruner stopped this trial."""
        return key in self._pruned

    def finish(
        self,
        key: str,
        state: State,
        values: Sequence[float] = (),
        outcome: Outcome = Outcome.NONE,
        message: str = "",
    ) -> None:
        """Notes how an order ended, and tells the sampler the same.

        Args:
            key: Key of the order.
            state: How the trial ended.
            values: Values of the objectives; of a pruned trial the first one at its best epoch.
            outcome: Why it failed.
            message: What the error said.
        """
        order = self._running.pop(key)
        value = values[0] if values else None
        self.finished[key] = TrialResult(order.role, state, value, order.params)
        if state is State.COMPLETE and order.trains:
            self._trained.setdefault(order.fingerprint(), key)
        if order.number is not None:
            self._suggestions.tell(order.number, state, values if state is State.COMPLETE else ())
        self._count_failure(state, outcome, message)
        self._follow_up()

    def _count_failure(self, state: State, outcome: Outcome, message: str) -> None:
        """Ends the study when so many trials failed in a row.

        A trial whose loss is not finite counts only while no trial is complete; afterwards its learning rate
        is to blame, not the study.
        """
        if state is not State.FAILED:
            self._failures.clear()
        elif outcome is not Outcome.NON_FINITE_LOSS or self.best is None:
            self._failures.append(": ".join(filter(None, (outcome.replace("_", " "), message))))
        limit = self.spec.search.max_consecutive_failures
        if len(self._failures) >= limit and not self.stopped:
            cause, times = Counter(self._failures).most_common(1)[0]
            self.stop(f"{len(self._failures)} trials in a row failed, {times} of them with: {cause}")

    def _num_known(self, role: Role) -> int:
        """Orders of this role that were given out or wait."""
        finished = sum(result.role is role for result in self.finished.values())
        orders = (*self._running.values(), *self._waiting)
        return finished + sum(order.role is role for order in orders)

    def _num_search_left(self) -> int:
        return max(0, self._num_trials - self._num_known(Role.SEARCH))

    def _follow_up(self) -> None:
        """Puts what follows the search at the end, as soon as the search is over."""
        orders = (*self._running.values(), *self._waiting)
        if self._followed_up or self._num_search_left() or any(o.role is Role.SEARCH for o in orders):
            return
        self._add(following(self.spec, self._suggestions.ranked(self._num_trials), self._in_tuning))
        self._followed_up = True

    def _suggest(self) -> None:
        suggested = self._suggestions.ask(self._next_number)
        if suggested is None:
            return
        spec, params = suggested
        key, number = search_key(self._next_number), self._next_number
        order = TrialOrder(key=key, role=Role.SEARCH, spec=spec.dump(), params=params, number=number)
        self._waiting.append(order)
        self._next_number += 1

    def _missing(self, keys: Sequence[str]) -> list[str]:
        known = {*self.finished, *self._running, *(order.key for order in self._waiting)}
        return [key for key in keys if key not in known]

    def _add(self, orders: Iterable[TrialOrder]) -> None:
        """Puts orders at the end, but for those that were given out or wait already."""
        found = list(orders)
        missing = set(self._missing([order.key for order in found]))
        self._waiting.extend(order for order in found if order.key in missing)

    def _tuned(self) -> Iterator[TrialOrder]:
        """Trainings of the variants whose tuning has ended, at the setting with the best value."""
        best = self.best[1] if self.best else {}
        for (table, variant), keys in list(self._in_tuning.items()):
            if not all(key in self.finished for key in keys):
                continue
            results = [self.finished[key] for key in keys]
            values = [-math.inf if r.value is None or math.isnan(r.value) else r.value for r in results]
            chosen = results[values.index(max(values))]
            del self._in_tuning[table, variant]
            yield from trainings(self.spec, table, variant, best, chosen.params)
