"""What the search finds, and what a suggestion costs: recorded or invented learning curves replayed without any training.

    uv run python benchmarks/search.py                       both parts, into benchmarks/results/search.md
    uv run python benchmarks/search.py --trials 60 --seeds 20 --sizes 100,250,1000,10000

Quality. The objective is a table of learning curves over a space with branches: the value of a configuration depends on
the rate, the decay, the dropout, the choice of attention and loss, and parameters that exist only in the branch of a loss;
one choice decides nothing. Four trials run at a time, an epoch costs a unit of time, a suggestion nothing. Compared at equal numbers of
trials and with the epochs they cost: this project's samplers with ASHA, Ray Tune's own `OptunaSearch` with its
`AsyncHyperBandScheduler`, and random search without stopping. The true value of the chosen configuration is reported,
without the noise by which it was chosen.

Cost. CPU seconds of one suggestion with that many trials known, through everything that the driver does.
"""

import argparse
import heapq
import json
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import optuna

from study.engine.search.plan import Plan
from study.engine.search.suggestions import Suggestions, Told
from study.spec.reading import override
from study.spec.study_file import StudySpec

RESULT = Path(__file__).parent / "results" / "search.md"
EPOCHS, SLOTS = 27, 4
STUDY: dict[str, Any] = {
    "study": "surrogate",
    "data": {"dataset": "phantom"},
    "model": {
        "backbone": "tiny",
        "attention": {"type": "categorical", "choices": ["none", "se", "cbam"]},
        "embedding": {"l2norm": {"type": "categorical", "choices": [False, True]}},
        "head": {"name": "multi_label", "dropout": {"type": "float", "low": 0.0, "high": 0.6}},
    },
    "loss": {
        "type": "categorical",
        "choices": [
            "bce",
            {"name": "focal", "gamma": {"type": "float", "low": 0.5, "high": 4.0}},
            {"name": "asymmetric", "gamma_neg": {"type": "float", "low": 0.5, "high": 6.0}},
        ],
    },
    "optimiser": {
        "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    },
    "training": {"epochs": EPOCHS},
    "search": {"startup": 10, "min_epochs": 3},
}


def true_value(params: dict[str, Any]) -> float:
    """The value that a configuration tends to: peaks in the rate that move with the loss, ridges in the decay, small gains of parts."""
    gain, rate = {"bce": (0.0, -3.0), "focal": (0.03, -2.6), "asymmetric": (0.02, -3.3)}[params["loss"]]
    if params["loss"] == "focal":
        gain -= 0.02 * (params["loss.focal.gamma"] - 2.0) ** 2
    if params["loss"] == "asymmetric":
        gain += 0.03 - 0.01 * (params["loss.asymmetric.gamma_neg"] - 4.0) ** 2
    off = math.log10(params["optimiser.lr"]) - rate
    decay = math.log10(params["optimiser.weight_decay"]) + 2.5
    part = {"none": 0.0, "se": 0.015, "cbam": 0.01}[params["model.attention"]]
    dropout = -0.15 * (params["model.head.dropout"] - 0.2) ** 2
    return 0.72 + gain + part + dropout - 0.09 * off**2 / (1 + 0.3 * off**2) - 0.008 * decay**2


def curve(params: dict[str, Any], seed: int) -> list[float]:
    """Values by epoch: a rise at a pace that grows with the rate, a fall where the rate is too high, noise of a validation split."""
    noise = np.random.default_rng([seed, crc32(json.dumps(params, sort_keys=True).encode())])
    pace = 2.0 + 6.0 / (1 + math.exp(2 * (math.log10(params["optimiser.lr"]) + 3.5)))
    final = true_value(params)
    return [
        0.3 + (final - 0.3) * (1 - math.exp(-e / pace)) + float(noise.normal(0, 0.008))
        for e in range(1, EPOCHS + 1)
    ]


class Method(Protocol):
    """A searcher with its scheduler: suggests, judges each epoch, and is told how a trial ended."""

    def suggest(self, number: int) -> dict[str, Any] | None: ...
    def result(self, number: int, epoch: int, value: float) -> bool: ...
    def ended(self, number: int, best: float, last: float, complete: bool) -> None: ...


class Ours:
    """The plan of this project."""

    def __init__(self, seed: int, **search: Any) -> None:
        settings = {
            f"search.{key}": value for key, value in {"seed": seed, "trials": 100_000, **search}.items()
        }
        spec = StudySpec.read(override(STUDY, {**settings, "resources.concurrent": SLOTS}))
        self.plan = Plan(spec, [], [], [])

    def suggest(self, number: int) -> dict[str, Any] | None:
        """The plan's next order."""
        order = self.plan.next()
        return None if order is None else dict(order.params)

    def result(self, number: int, epoch: int, value: float) -> bool:
        """Whether the pruner stops it."""
        return self.plan.report(f"search-{number:05d}", epoch, value)

    def ended(self, number: int, best: float, last: float, complete: bool) -> None:
        """Tells the plan."""
        self.plan.finish(f"search-{number:05d}", "complete" if complete else "pruned", [best])


class Tunes:
    """Ray's own searcher and scheduler, called as its controller calls them."""

    def __init__(self, seed: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler
        from ray.tune.search.optuna import OptunaSearch

        spec = StudySpec.read(STUDY)
        self.search = OptunaSearch(
            space=lambda trial: spec.fill(trial) and None, metric="value", mode="max", seed=seed
        )
        self.scheduler = AsyncHyperBandScheduler(
            time_attr="epoch", metric="value", mode="max", max_t=EPOCHS, grace_period=3, reduction_factor=3
        )
        self.trials: dict[int, Any] = {}

    def suggest(self, number: int) -> dict[str, Any]:
        """OptunaSearch's suggestion."""
        params = self.search.suggest(str(number))
        self.trials[number] = type("Trial", (), {"trial_id": str(number), "config": params})()
        self.scheduler.on_trial_add(None, self.trials[number])
        return dict(params)

    def result(self, number: int, epoch: int, value: float) -> bool:
        """Whether the scheduler stops it."""
        row = {"value": value, "epoch": epoch, "training_iteration": epoch}
        self.search.on_trial_result(str(number), row)
        return bool(
            self.scheduler.on_trial_result(None, self.trials[number], row) == "STOP" and epoch < EPOCHS
        )

    def ended(self, number: int, best: float, last: float, complete: bool) -> None:
        """Tells OptunaSearch, which takes every trial as complete."""
        self.search.on_trial_complete(
            str(number), {"value": last, "epoch": EPOCHS, "training_iteration": EPOCHS}
        )


METHODS: dict[str, Callable[[int], Method]] = {
    "random, never stopped": lambda seed: Ours(seed, sampler="random", pruner="none"),
    "random + ASHA": lambda seed: Ours(seed, sampler="random"),
    "Ray's OptunaSearch + its ASHA": Tunes,
    "tpe + ASHA": lambda seed: Ours(seed, sampler="tpe"),
    "tpe + ASHA, deterministic": lambda seed: Ours(seed, sampler="tpe", parallel="deterministic"),
    "tpe + median": lambda seed: Ours(seed, sampler="tpe", pruner="median"),
    "tpe, never stopped": lambda seed: Ours(seed, sampler="tpe", pruner="none"),
    "cmaes + ASHA": lambda seed: Ours(seed, sampler="cmaes"),
    "qmc + ASHA": lambda seed: Ours(seed, sampler="qmc"),
}


def simulate(method: Method, trials: int, seed: int) -> list[tuple[int, float]]:
    """After each trial that ends, epochs so far and true value of the choice; an event is the next epoch of the earliest slot."""
    started, epochs, clock, chosen, best = 0, 0, 0, list[tuple[int, float]](), (-math.inf, 0.0)
    slots: list[tuple[int, int, int]] = []
    running: dict[int, tuple[dict[str, Any], list[float]]] = {}
    while started < trials or slots:
        while len(slots) < SLOTS and started < trials:
            params = method.suggest(started)
            if params is None:  # it waits for a trial to end
                break
            running[started] = (params, curve(params, seed))
            heapq.heappush(slots, (clock + 1, started, 1))
            started += 1
        clock, number, epoch = heapq.heappop(slots)
        params, values = running[number]
        epochs += 1
        stopped = method.result(number, epoch, values[epoch - 1])
        if not stopped and epoch < EPOCHS:
            heapq.heappush(slots, (clock + 1, number, epoch + 1))
            continue
        seen = max(values[:epoch])
        if epoch == EPOCHS or not stopped:
            best = max(best, (seen, true_value(params)))
        method.ended(number, seen, values[epoch - 1], not stopped)
        chosen.append((epochs, best[1]))
    return chosen


def quality(trials: int, seeds: int) -> list[str]:
    budget = trials * EPOCHS // 4
    rows = [
        f"| method | after {trials // 3} trials | after {budget} epochs | after {trials} trials | epochs |",
        "|---|---|---|---|---|",
    ]
    for name, make in METHODS.items():
        found = [simulate(make(seed), trials, seed) for seed in range(seeds)]
        thirds = [chosen[trials // 3 - 1][1] for chosen in found]
        budgets = [
            max(((e, v) for e, v in chosen if e <= budget), default=(0, math.nan))[1] for chosen in found
        ]
        ends = [chosen[-1][1] for chosen in found]
        epochs = statistics.mean(chosen[-1][0] for chosen in found)
        rows.append(f"| {name} | {spread(thirds)} | {spread(budgets)} | {spread(ends)} | {epochs:.0f} |")
        print(rows[-1], flush=True)
    return rows


def spread(values: list[float]) -> str:
    """Mean and its standard error."""
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"


def known(spec: StudySpec, num: int) -> list[Told]:
    """That many finished trials of random search, two thirds of them stopped early."""
    told = []
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(num):
        trial = study.ask()
        spec.fill(trial)
        values = curve(trial.params, 0)[: EPOCHS if number % 3 == 0 else 3]
        state = "complete" if number % 3 == 0 else "pruned"
        told.append(Told(number, trial.params, state, [max(values)], dict(enumerate(values, 1)), EPOCHS))
    return told


def cost(sizes: list[int]) -> list[str]:
    rows = ["| sampler | " + " | ".join(f"{n:,} trials" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    rebuilt = []
    whole = known(StudySpec.read(STUDY), max(sizes))
    for sampler in ("tpe", "gp", "cmaes", "random", "qmc"):
        cells = []
        for num in sizes:
            spec = StudySpec.read(override(STUDY, {"search.sampler": sampler, "search.trials": 100_000}))
            began = time.process_time()
            suggestions = Suggestions(spec, whole[:num], {}, (False,))
            if sampler == "tpe":
                rebuilt.append(f"{time.process_time() - began:.2f} s")
            began = time.process_time()
            for i in range(3):
                suggestions.ask(num + i)
                suggestions.report(num + i, 3, 0.5)
                suggestions.tell(num + i, "complete", [0.5])
            cells.append(f"{(time.process_time() - began) / 3:.3f} s")
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
    text = [
        "# Search: what it finds and what it costs",
        "",
        f"`uv run python benchmarks/search.py --trials {args.trials} --seeds {args.seeds} --sizes {args.sizes}`, one run of {minutes:.1f} "
        f"minutes with {optuna.__name__} {optuna.__version__} on {platform.machine()}, Python {platform.python_version()}.",
        "",
        f"Invented learning curves of {EPOCHS} epochs over a space with branches, {SLOTS} trials at a time, {args.seeds} seeds: mean true "
        "value of the configuration that the search would choose with its standard error over the seeds, and the epochs of all trials.",
        "",
        *found,
        "",
        "CPU seconds for one suggestion with so many trials known, its pruning rule and the telling of its result included.",
        "",
        *costs,
        "",
    ]
    args.out.write_text("\n".join(text))
    print(f"{minutes:.1f} min, written to {args.out}")


if __name__ == "__main__":
    main()
