"""The methods that the benchmark of the search compares: samplers with the rules that stop trials."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import optuna
from recorded_space import EPOCHS, STUDY
from replay import Params

from study.engine.search.following import search_key
from study.engine.search.plan import Plan
from study.evidence.records import State
from study.spec.holes import Scalar
from study.spec.reading import override
from study.spec.study_file import StudySpec

SLOTS = 4  # trials at a time
MANY = 100_000  # trials that a plan has to give, more than any size
STOCK = "Ray's OptunaSearch + its ASHA"


class Method(Protocol):
    """A searcher with its scheduler."""

    def suggest(self, number: int) -> Params | None:
        """Parameters of a new trial; None while the method waits for another trial to end."""

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Takes the value of an epoch; True when the trial is to be stopped."""

    def end(self, number: int, best: float, last: float, *, complete: bool) -> None:
        """Takes how a trial ended: its best value, its last value, and whether it was never stopped."""


class OurSearch:
    """The plan of this project."""

    def __init__(self, seed: int, **search: Any) -> None:
        settings = {f"search.{key}": value for key, value in search.items()}
        settings |= {"search.seed": seed, "search.trials": MANY, "resources.concurrent": SLOTS}
        self.plan = Plan(StudySpec.read(override(STUDY, settings)), [], {}, [])

    def suggest(self, number: int) -> Params | None:
        """Parameters of the plan's next order."""
        order = self.plan.next()
        return None if order is None else dict(order.params)

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Whether the plan's pruner stops the trial."""
        return self.plan.report(search_key(number), epoch, value)

    def end(self, number: int, best: float, last: float, *, complete: bool) -> None:
        """Tells the plan."""
        self.plan.finish(search_key(number), State.COMPLETE if complete else State.PRUNED, [best])


class TuneSearch:
    """Ray Tune's own searcher and scheduler, called as its controller calls them."""

    def __init__(self, seed: int, grace_period: int = 3) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler
        from ray.tune.search.optuna import OptunaSearch

        spec = StudySpec.read(STUDY)

        def define(trial: optuna.Trial) -> None:
            spec.fill(trial)

        # Both are typed for Ray's own callers, and get here neither its controller nor its class of trials.
        self.search: Any = OptunaSearch(space=define, metric="value", mode="max", seed=seed)
        self.scheduler: Any = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="value",
            mode="max",
            max_t=EPOCHS,
            grace_period=grace_period,
            reduction_factor=3,
        )
        self.trials: dict[int, SimpleNamespace] = {}

    def suggest(self, number: int) -> Params:
        """Parameters that OptunaSearch suggests."""
        params: dict[str, Scalar] = self.search.suggest(str(number))
        self.trials[number] = SimpleNamespace(trial_id=str(number), config=params)
        self.scheduler.on_trial_add(None, self.trials[number])
        return dict(params)

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Whether the scheduler stops the trial."""
        row = {"value": value, "epoch": epoch, "training_iteration": epoch}
        self.search.on_trial_result(str(number), row)
        decision = self.scheduler.on_trial_result(None, self.trials[number], row)
        return bool(decision == "STOP" and epoch < EPOCHS)

    def end(self, number: int, best: float, last: float, *, complete: bool) -> None:
        """Tells OptunaSearch, which takes every trial as complete."""
        row = {"value": last, "epoch": EPOCHS, "training_iteration": EPOCHS}
        self.search.on_trial_complete(str(number), row)


METHODS: dict[str, Callable[[int], Method]] = {
    STOCK: TuneSearch,
    f"{STOCK} from epoch 1": lambda seed: TuneSearch(seed, grace_period=1),
    "random, never stopped": lambda seed: OurSearch(seed, sampler="random", pruner="none"),
    "random + ASHA": lambda seed: OurSearch(seed, sampler="random"),
    "random + ASHA from epoch 1": lambda seed: OurSearch(seed, sampler="random", min_epochs=1),
    "tpe + ASHA": lambda seed: OurSearch(seed, sampler="tpe"),
    "tpe + ASHA from epoch 1": lambda seed: OurSearch(seed, sampler="tpe", min_epochs=1),
}
