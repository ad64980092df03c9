"""Quality and cost of the search: invented learning curves are replayed, and nothing is trained.

    uv run python benchmarks/search.py                       both parts, into benchmarks/results/search.md
    uv run python benchmarks/search.py --trials 60 --seeds 20 --sizes 100,250,1000,10000

Quality. The objective is a formula over a space with branches. The value of a configuration depends on the
learning rate, the weight decay, the dropout, the choice of attention and loss, and on parameters that exist
only for one of the losses; one choice has no influence. Four trials run at a time, an epoch takes one unit of
time, and a suggestion takes none. The methods are compared at equal numbers of trials, with the epochs that
these took: this project's samplers with its pruners, Ray Tune's own `OptunaSearch` with its
`AsyncHyperBandScheduler`, and random search that never stops a trial. A method chooses by noisy values; the
value that is reported is the true one of its choice.

Cost. CPU seconds of one suggestion when so many trials are known, with everything that the driver does for
it.
"""

import argparse
import heapq
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import optuna
from search_curves import (
    EPOCHS,
    STUDY,
    Params,
    learning_curve,
    true_value,
)  # a script finds the file beside it

from study.engine.search.following import search_key
from study.engine.search.plan import Plan
from study.engine.search.suggestions import PastTrial, Suggestions
from study.evidence.records import State
from study.spec.holes import Scalar
from study.spec.reading import override
from study.spec.study_file import StudySpec

RESULT = Path(__file__).parent / "results" / "search.md"
SLOTS = 4  # trials at a time
MANY = 100_000  # trials that a plan has to give, more than any size


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

    def __init__(self, seed: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler
        from ray.tune.search.optuna import OptunaSearch

        spec = StudySpec.read(STUDY)

        def define(trial: optuna.Trial) -> None:
            spec.fill(trial)

        # Both are typed for Ray's own callers, and get here neither its controller nor its class of trials.
        self.search: Any = OptunaSearch(space=define, metric="value", mode="max", seed=seed)
        self.scheduler: Any = AsyncHyperBandScheduler(
            time_attr="epoch", metric="value", mode="max", max_t=EPOCHS, grace_period=3, reduction_factor=3
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
    "random, never stopped": lambda seed: OurSearch(seed, sampler="random", pruner="none"),
    "random + ASHA": lambda seed: OurSearch(seed, sampler="random"),
    "Ray's OptunaSearch + its ASHA": TuneSearch,
    "tpe + ASHA": lambda seed: OurSearch(seed, sampler="tpe"),
    "tpe + ASHA, deterministic": lambda seed: OurSearch(seed, sampler="tpe", parallel="deterministic"),
    "tpe + median": lambda seed: OurSearch(seed, sampler="tpe", pruner="median"),
    "tpe, never stopped": lambda seed: OurSearch(seed, sampler="tpe", pruner="none"),
    "cmaes + ASHA": lambda seed: OurSearch(seed, sampler="cmaes"),
    "qmc + ASHA": lambda seed: OurSearch(seed, sampler="qmc"),
}


@dataclass
class Choice:
    """What a method would choose after a trial has ended.

    Attributes:
        epochs: Epochs that all trials took so far.
        value: True value of the best complete trial.
    """

    epochs: int
    value: float


def simulate(method: Method, trials: int, seed: int) -> list[Choice]:
    """Plays a search, and gives the choice after each trial that ends."""
    chosen: list[Choice] = []
    running: dict[int, tuple[Params, list[float]]] = {}
    epochs_to_come: list[tuple[int, int, int]] = []  # (time of its end, trial, epoch), the earliest first
    started = epochs = clock = 0
    best = (-math.inf, 0.0)  # the value that the method saw, and the true one
    while started < trials or epochs_to_come:
        while len(epochs_to_come) < SLOTS and started < trials:
            params = method.suggest(started)
            if params is None:
                break
            running[started] = (params, learning_curve(params, seed))
            heapq.heappush(epochs_to_come, (clock + 1, started, 1))
            started += 1
        clock, trial, epoch = heapq.heappop(epochs_to_come)
        params, values = running[trial]
        epochs += 1
        stopped = method.stops(trial, epoch, values[epoch - 1])
        if not stopped and epoch < EPOCHS:
            heapq.heappush(epochs_to_come, (clock + 1, trial, epoch + 1))
            continue
        seen = max(values[:epoch])
        if epoch == EPOCHS or not stopped:
            best = max(best, (seen, true_value(params)))
        method.end(trial, seen, values[epoch - 1], complete=not stopped)
        chosen.append(Choice(epochs, best[1]))
    return chosen


def quality(trials: int, seeds: int) -> list[str]:
    """The table of the first part."""
    third, budget = trials // 3, trials * EPOCHS // 4
    rows = [
        f"| method | after {third} trials | after {budget} epochs | after {trials} trials | epochs |",
        "|---|---|---|---|---|",
    ]
    for name, make in METHODS.items():
        found = [simulate(make(seed), trials, seed) for seed in range(seeds)]
        thirds = [choices[third - 1].value for choices in found]
        budgets = [value_within(choices, budget) for choices in found]
        ends = [choices[-1].value for choices in found]
        epochs = statistics.mean(choices[-1].epochs for choices in found)
        rows.append(f"| {name} | {spread(thirds)} | {spread(budgets)} | {spread(ends)} | {epochs:.0f} |")
        print(rows[-1], flush=True)
    return rows


def value_within(choices: Sequence[Choice], epochs: int) -> float:
    """True value of the last choice within so many epochs; NaN where no trial had ended."""
    within = [choice.value for choice in choices if choice.epochs <= epochs]
    return within[-1] if within else math.nan


def spread(values: list[float]) -> str:
    """Mean and its standard error."""
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"


def past_trials(spec: StudySpec, num: int) -> list[PastTrial]:
    """So many finished trials of random search, two thirds of them stopped early."""
    past = []
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for n in range(num):
        trial = study.ask()
        spec.fill(trial)
        complete = n % 3 == 0
        values = learning_curve(trial.params, 0)[: EPOCHS if complete else 3]
        ended = PastTrial(
            number=n,
            params=trial.params,
            state=State.COMPLETE if complete else State.PRUNED,
            values=[max(values)],
            curve=dict(enumerate(values, 1)),
            epochs=EPOCHS,
        )
        past.append(ended)
    return past


def suggestion_seconds(suggestions: Suggestions, num: int) -> float:
    """CPU seconds of a suggestion with its pruning rule and its result, the mean of three."""
    began = time.process_time()
    for n in range(num, num + 3):
        suggestions.ask(n)
        suggestions.report(n, 3, 0.5)
        suggestions.tell(n, State.COMPLETE, [0.5])
    return (time.process_time() - began) / 3


def cost(sizes: Sequence[int]) -> list[str]:
    """The table of the second part."""
    rows = ["| sampler | " + " | ".join(f"{n:,} trials" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    rebuilt = []
    past = past_trials(StudySpec.read(STUDY), max(sizes))
    for sampler in ("tpe", "gp", "cmaes", "random", "qmc"):
        cells = []
        for num in sizes:
            spec = StudySpec.read(override(STUDY, {"search.sampler": sampler, "search.trials": MANY}))
            began = time.process_time()
            suggestions = Suggestions(spec, past[:num], {}, (False,))
            if sampler == "tpe":
                rebuilt.append(f"{time.process_time() - began:.2f} s")
            cells.append(f"{suggestion_seconds(suggestions, num):.3f} s")
        rows.append(f"| {sampler} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return [*rows, "| (the sampler rebuilt from the records) | " + " | ".join(rebuilt) + " |"]


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=60)
    cli.add_argument("--seeds", type=int, default=20)
    cli.add_argument("--sizes", default="100,250,1000,10000")
    cli.add_argument("--out", type=Path, default=RESULT)
    args = cli.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    found = quality(args.trials, args.seeds)
    costs = cost([int(n) for n in args.sizes.split(",")])
    minutes = (time.perf_counter() - began) / 60
    command = f"--trials {args.trials} --seeds {args.seeds} --sizes {args.sizes}"
    text = [
        "# Search: what it finds and what it costs",
        "",
        f"`uv run python benchmarks/search.py {command}`, one run of {minutes:.1f} minutes with "
        f"optuna {optuna.__version__} on {platform.machine()}, Python {platform.python_version()}.",
        "",
        f"Invented learning curves of {EPOCHS} epochs over a space with branches, {SLOTS} trials at a time, "
        f"{args.seeds} seeds: mean true value of the configuration that the search would choose, with its "
        "standard error over the seeds, and the epochs that all trials took.",
        "",
        *found,
        "",
        "CPU seconds of one suggestion when so many trials are known, with its pruning rule and its result.",
        "",
        *costs,
        "",
    ]
    args.out.write_text("\n".join(text))
    print(f"{minutes:.1f} min, written to {args.out}")


if __name__ == "__main__":
    main()
