"""What to run next: the search's suggestions, then ablations and baselines. It knows Optuna and the records, but no Ray.

The records are the memory: the sampler is rebuilt from them, so nothing but the Parquet of finished trials and the
orders of unfinished ones is needed to go on.
"""

import json
import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from study.engine.order import Order
from study.spec.holes import Hole
from study.spec.study_file import SearchSpec, StudySpec

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
UNTRAINED = "baseline-untrained"

Record = Mapping[str, Any]


class Plan:
    """Orders in their turn, and what became of them.

    Args:
        spec: the study.
        records: the TRIAL rows of finished trials.
        epochs: their EPOCHS rows, for the pruner.
        interrupted: orders that were given out before and never finished; they come first, unchanged.
    """

    def __init__(self, spec: StudySpec, records: list[Record], epochs: list[Record], interrupted: list[Order]) -> None:
        self.spec = spec
        self.finished: dict[str, tuple[str, float | None]] = {}
        self._best: tuple[float, dict[str, Any]] | None = None
        self._running: dict[str, Order] = {}
        self._asked: dict[str, optuna.Trial] = {}
        self._stopped: set[str] = set()
        self._waiting = deque(interrupted)
        self._followed_up = False
        searched = sorted((r for r in records if r["role"] == "search"), key=lambda r: int(r["number"]))
        self._study = _optuna_study(spec.search, len(searched))
        self._distributions = {name: distribution(hole) for name, hole in spec.holes().items()}
        self._replay(searched, epochs)
        self.finished.update({row["trial"]: (row["state"], row["value"]) for row in records})
        numbers = [int(row["number"]) for row in searched] + [o.number for o in interrupted if o.number is not None]
        self._next_number = max(numbers, default=-1) + 1

    def _replay(self, searched: list[Record], epochs: list[Record]) -> None:
        """Tells the sampler every finished trial as it ended, with its learning curve for the pruner."""
        curves: dict[str, dict[int, float]] = {}
        for row in epochs:
            if math.isfinite(row["value"]):
                curves.setdefault(row["trial"], {})[int(row["epoch"])] = float(row["value"])
        for row in searched:
            params = {name: value for name, value in json.loads(row["params"]).items() if name in self._distributions}
            state, value = STATES[row["state"]], row["value"]
            if state is TrialState.COMPLETE and not math.isfinite(value):
                state = TrialState.FAIL
            complete = state is TrialState.COMPLETE
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    value=value if complete else None,
                    params=params,
                    distributions={name: self._distributions[name] for name in params},
                    intermediate_values=curves.get(row["trial"], {}),
                )
            )
            if complete:
                self._note_best(value, params)

    @property
    def keys(self) -> list[str]:
        """Keys of all orders, those to come included."""
        search = [f"search-{n:05d}" for n in range(self.spec.search.trials)]
        return [*dict.fromkeys([*self.finished, *self._running, *search, *self._follow_up_keys()])]

    @property
    def num_left(self) -> int:
        """Orders still to be given out, interrupted ones included."""
        return len(self._waiting) + self._num_search_left() + (0 if self._followed_up else len(self._follow_up_keys()))

    @property
    def running(self) -> int:
        """Orders given out and not finished."""
        return len(self._running)

    @property
    def best(self) -> tuple[float, dict[str, Any]] | None:
        """Validation value and parameters of the search's best complete trial."""
        return self._best

    def next(self) -> Order | None:
        """The next order; None while nothing can be decided before a running trial ends, or at the end of the plan."""
        if not self._waiting and self._num_search_left() > 0:
            self._waiting.append(self._suggest())
        if not self._waiting and not self._followed_up and not any(o.role == "search" for o in self._running.values()):
            self._waiting.extend(self._follow_up())
            self._followed_up = True
        if not self._waiting:
            return None
        order = self._waiting.popleft()
        if order.role == "search" and order.key not in self._asked:
            self._asked[order.key] = self._ask_again(order.params)
        self._running[order.key] = order
        return order

    @property
    def done(self) -> bool:
        """Whether every order has been given out."""
        return not self._waiting and self._num_search_left() <= 0 and (self._followed_up or not self._follow_up_keys())

    def report(self, key: str, epoch: int, value: float) -> bool:
        """Notes the value of an epoch of a running search trial; True when the pruner stops it."""
        trial = self._asked.get(key)
        if trial is None or not math.isfinite(value):
            return False
        trial.report(value, epoch)
        stops = trial.should_prune()
        if stops:
            self._stopped.add(key)
        return stops

    def was_stopped(self, key: str) -> bool:
        """Whether the pruner stopped this trial."""
        return key in self._stopped

    def finish(self, key: str, state: str, value: float | None) -> None:
        """Notes how an order ended: complete, pruned or failed; the sampler is told the same."""
        order = self._running.pop(key)
        self.finished[key] = (state, value)
        trial = self._asked.pop(key, None)
        if trial is None:
            return
        if state == "complete" and value is not None and math.isfinite(value):
            self._study.tell(trial, value)
            self._note_best(value, order.params)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)

    def _note_best(self, value: float, params: Mapping[str, Any]) -> None:
        if self._best is None or value > self._best[0]:
            self._best = (value, dict(params))

    def _num_search_left(self) -> int:
        given = sum(key.startswith("search-") for key in (*self.finished, *self._running))
        return self.spec.search.trials - given - sum(o.role == "search" for o in self._waiting)

    def _suggest(self) -> Order:
        trial = self._study.ask()
        spec = self.spec.fill(trial)
        key = f"search-{self._next_number:05d}"
        order = Order(key, "search", spec.dump(), dict(trial.params), self._next_number)
        self._next_number += 1
        self._asked[key] = trial
        return order

    def _ask_again(self, params: Mapping[str, Any]) -> optuna.Trial:
        """A running trial of the sampler with the parameters of an interrupted order."""
        self._study.enqueue_trial(dict(params))
        trial = self._study.ask()
        self.spec.fill(trial)
        return trial

    def _follow_up_keys(self) -> list[str]:
        """Keys of ablations and baselines that are not finished, running or waiting."""
        keys = [f"ablation-{t}-{v}-s{s}" for t, a in self.spec.ablations.items() for v in a.variants for s in a.seeds]
        known = {*self.finished, *self._running, *(o.key for o in self._waiting)}
        return [key for key in [*keys, UNTRAINED] if key not in known]

    def _follow_up(self) -> list[Order]:
        """Ablations on the best configuration, and the untrained network of that configuration."""
        missing = set(self._follow_up_keys())
        best = self._best[1] if self._best else {}
        orders = []
        for table, ablation in self.spec.ablations.items():
            params = best if ablation.base == "best" else {}
            for variant in ablation.variants:
                for seed in ablation.seeds:
                    key = f"ablation-{table}-{variant}-s{seed}"
                    if key in missing:
                        spec = self.spec.variant(table, variant, seed, params)
                        orders.append(Order(key, "ablation", spec.dump(), table=table, variant=variant))
        if UNTRAINED in missing:
            orders.append(Order(UNTRAINED, "baseline", self.spec.preset(best).dump(), trains=False))
        return orders


def distribution(hole: Hole) -> BaseDistribution:
    """Optuna's distribution of a hole."""
    if hole.choices is not None:
        return CategoricalDistribution(list(hole.choices))
    if hole.kind == "int":
        return IntDistribution(int(hole.low), int(hole.high), log=hole.log, step=int(hole.step or 1))
    return FloatDistribution(hole.low, hole.high, log=hole.log, step=hole.step)


def _optuna_study(search: SearchSpec, num_seen: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The seed moves with the number of known trials: a sampler started anew with the same seed would repeat itself.
    seed = search.seed + num_seen
    samplers: dict[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=search.startup, multivariate=True, group=True, constant_liar=True
        ),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    pruners: dict[str, Callable[[], BasePruner]] = {
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=search.min_epochs, reduction_factor=3),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=search.min_epochs, reduction_factor=3),
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=search.startup, n_warmup_steps=search.min_epochs),
        "none": lambda: optuna.pruners.NopPruner(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group` is the documented setting for conditional spaces
        return optuna.create_study(direction="maximize", sampler=samplers[search.sampler](), pruner=pruners[search.pruner]())
