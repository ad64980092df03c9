"""Quality and cost of the search: recorded learning curves are replayed, and nothing is trained.

    uv run python benchmarks/search.py                       both parts, into benchmarks/results/search.md
    uv run python benchmarks/search.py --trials 60 --seeds 20 --sizes 100,250,1000,10000

Quality. The curves are those of `record_curves.py`, as `replay.py` gives them for any configuration of the
space. Four trials run at a time, and a suggestion takes no time. All methods search the same space with the
same noise. They are compared at equal numbers of epochs, in as many trials as these allow, with the epochs
that Ray Tune's own `OptunaSearch` with its `AsyncHyperBandScheduler` (the stock recipe) takes for so many
trials. A method chooses by noisy values; the value that is reported is that of the mean curve of its choice.
The share of the stock recipe's epochs after which a method is as good as the stock recipe at its end is found
on the curves of the mean over the seeds; its interval is that of 2,000 bootstrap samples of the seeds, which
are shared by the methods.

Everything is done twice: with epochs that all take one unit of time, and with the recorded seconds.

Cost. CPU seconds of one suggestion when so many trials are known, with everything that the driver does for
it.
"""

import argparse
import heapq
import json
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import optuna
from jaxtyping import Float
from recorded_space import EPOCHS, STUDY  # a script finds the files beside it
from replay import Params, Replay
from search_methods import MANY, METHODS, SLOTS, STOCK, Method

from study.engine.search.suggestions import PastTrial, Suggestions
from study.evidence.records import State
from study.spec.reading import override
from study.spec.study_file import StudySpec

RESULT = Path(__file__).parent / "results" / "search.md"
RESAMPLES = 2000


class Choice(NamedTuple):
    """What a method would choose after a trial has ended.

    Attributes:
        epochs: Epochs that all trials took so far.
        clock: Time so far.
        value: Value of the best complete trial's mean curve; NaN before the first one.
    """

    epochs: int
    clock: float
    value: float


class World:
    """What happens to the trials of a search with one seed.

    Args:
        replay: The recorded curves.
        seed: Decides the noise.
        timed: Whether an epoch takes its recorded seconds; otherwise it takes 1.
    """

    def __init__(self, replay: Replay, seed: int, *, timed: bool) -> None:
        self._replay, self._seed, self._timed = replay, seed, timed

    def value(self, params: Params) -> float:
        """The best value of the mean curve."""
        return float(self._replay.curve(params).max())

    def curve(self, params: Params) -> list[float]:
        """What a trial gives; another seed gives other noise, and another method does not."""
        rng = np.random.default_rng([self._seed, crc32(json.dumps(params, sort_keys=True).encode())])
        curve: list[float] = (self._replay.curve(params) + self._replay.noise(params, rng)).tolist()
        return curve

    def cost(self, params: Params) -> float:
        """Time of an epoch."""
        return self._replay.seconds(params) if self._timed else 1.0


def simulate(
    method: Method, world: World, *, trials: int = MANY, epochs: float = math.inf, until: float = math.inf
) -> list[Choice]:
    """Plays a search until so many trials have ended, or so many epochs, or so much time has passed.

    Returns:
        The choice after the end of each trial.
    """
    chosen: list[Choice] = []
    running: dict[int, tuple[Params, list[float], float]] = {}
    to_come: list[tuple[float, int, int]] = []  # (time of its end, trial, epoch), the earliest first
    started = done = 0
    clock, best = 0.0, (-math.inf, math.nan)  # the value that the method saw, and that of the mean curve
    while done < epochs and clock < until and (started < trials or to_come):
        while len(to_come) < SLOTS and started < trials:
            params = method.suggest(started)
            if params is None:
                break
            running[started] = (params, world.curve(params), world.cost(params))
            heapq.heappush(to_come, (clock + running[started][2], started, 1))
            started += 1
        clock, trial, epoch = heapq.heappop(to_come)
        params, values, cost = running[trial]
        done += 1
        stopped = method.stops(trial, epoch, values[epoch - 1])
        if not stopped and epoch < EPOCHS:
            heapq.heappush(to_come, (clock + cost, trial, epoch + 1))
            continue
        seen = max(values[:epoch])
        if epoch == EPOCHS:
            best = max(best, (seen, world.value(params)))
        method.end(trial, seen, values[epoch - 1], complete=epoch == EPOCHS)
        chosen.append(Choice(done, clock, best[1]))
    return chosen


def quality(replay: Replay, trials: int, seeds: int, *, timed: bool) -> list[str]:
    """The table of the first part."""

    def play(make: Callable[[int], Method], **limits: Any) -> list[list[Choice]]:
        worlds = (World(replay, seed, timed=timed) for seed in range(seeds))
        return [simulate(make(seed), world, **limits) for seed, world in enumerate(worlds)]

    at = "clock" if timed else "epochs"
    stock = [choices[-1] for choices in play(METHODS[STOCK], trials=trials)]
    end = statistics.mean(getattr(choice, at) for choice in stock)
    found = {
        name: play(make, until=end) if timed else play(make, epochs=end) for name, make in METHODS.items()
    }
    places = np.linspace(0, end, 401)
    curves = {name: np.stack([values_at(c, at, places) for c in runs]) for name, runs in found.items()}
    unit = f"{end:,.0f} s" if timed else f"{end:,.0f} epochs"
    rows = [
        f"| method | after a quarter | after half | after {unit} | share until as good as stock | trials |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in curves.items():
        cells = [spread(values[:, place]) for place in (100, 200, 400)]
        num = statistics.mean(sum(getattr(c, at) <= end for c in runs) for runs in found[name])
        rows.append(f"| {name} | {' | '.join(cells)} | {share_text(values, curves[STOCK])} | {num:.0f} |")
        print(rows[-1], flush=True)
    return rows


def values_at(
    choices: Sequence[Choice], what: str, places: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """The value of the last choice at each place; NaN before the first complete trial."""
    reached = np.searchsorted([getattr(choice, what) for choice in choices], places, side="right")
    return np.array([math.nan, *(choice.value for choice in choices)])[reached]


def share_text(values: Float[np.ndarray, "s p"], stock: Float[np.ndarray, "s p"]) -> str:
    """Share of the way after which the mean over seeds is the stock recipe's last one, with its interval."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(values), size=len(values)) for _ in range(RESAMPLES)]
    shares = [share(values[seeds], stock[seeds]) for seeds in drawn]
    low, high = np.quantile(shares, [0.025, 0.975], method="nearest")
    return f"{share_name(share(values, stock))} ({share_name(low)} to {share_name(high)})"


def share(values: Float[np.ndarray, "s p"], stock: Float[np.ndarray, "s p"]) -> float:
    """As in `share_text`, without the interval; infinite where the mean stays below."""
    reached = np.flatnonzero(values.mean(0) >= stock[:, -1].mean())
    return float(reached[0]) / (values.shape[1] - 1) if len(reached) else math.inf


def share_name(found: float) -> str:
    """A share in two digits."""
    return f"{found:.2f}" if math.isfinite(found) else "over 1"


def spread(values: Float[np.ndarray, " s"]) -> str:
    """Mean and its standard error."""
    return f"{values.mean():.4f} ± {values.std(ddof=1) / math.sqrt(len(values)):.4f}"


def past_trials(world: World, spec: StudySpec, num: int) -> list[PastTrial]:
    """So many finished trials of random search, two thirds of them stopped early."""
    past = []
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for n in range(num):
        trial = study.ask()
        spec.fill(trial)
        complete = n % 3 == 0
        values = world.curve(trial.params)[: EPOCHS if complete else 3]
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


def cost(world: World, sizes: Sequence[int]) -> list[str]:
    """The table of the second part."""
    rows = ["| sampler | " + " | ".join(f"{n:,} trials" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    rebuilt = []
    past = past_trials(world, StudySpec.read(STUDY), max(sizes))
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


def page(replay: Replay, args: argparse.Namespace) -> list[str]:
    """What is found, in the form of the result file."""
    by_epochs, by_seconds = (quality(replay, args.trials, args.seeds, timed=timed) for timed in (False, True))
    return [
        f"{replay.num_trainings} recorded trainings of {EPOCHS} epochs, of {replay.num_configurations} "
        "configurations on ODIR-5K; the process that is fitted to them explains "
        f"{replay.explained:.2f} of the variance of the best value of a training that it was not fitted to. "
        f"{SLOTS} trials at a time, {args.seeds} seeds. Macro average precision on validation of the mean "
        "curve of the configuration that the search would choose, with its standard error over the seeds. "
        f"The stock recipe ends with {args.trials} trials. In brackets the 95 % interval.",
        "",
        "Every epoch takes one unit of time:",
        "",
        *by_epochs,
        "",
        "Every epoch takes the CPU time that was recorded:",
        "",
        *by_seconds,
        "",
        "CPU seconds of one suggestion when so many trials are known, with its pruning rule and its result.",
        "",
        *cost(World(replay, 0, timed=False), [int(n) for n in args.sizes.split(",")]),
        "",
    ]


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
    found = page(Replay(), args)
    minutes = (time.perf_counter() - began) / 60
    command = f"--trials {args.trials} --seeds {args.seeds} --sizes {args.sizes}"
    text = [
        "# Search: what it finds and what it costs",
        "",
        f"`uv run python benchmarks/search.py {command}`, one run of {minutes:.1f} minutes with "
        f"optuna {optuna.__version__} on {platform.machine()}, Python {platform.python_version()}.",
        "",
        *found,
    ]
    args.out.write_text("\n".join(text))
    print(f"{minutes:.1f} min, written to {args.out}")


if __name__ == "__main__":
    main()
