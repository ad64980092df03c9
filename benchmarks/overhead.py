"""What a trial costs beside its training, at steady state, against plain Ray Tune and a plain Optuna loop, in one run.

    uv run python benchmarks/overhead.py [--trials 40] [--nested 4] [--records 10000]

The same tiny network is trained for one epoch, trial after trial, one at a time:

- `study`: this project, which also embeds, scores and writes every prediction;
- `group`: the same with a worker group of two, as trials of several devices have it (`--nested` trials);
- `tune`: Ray Tune with OptunaSearch, each trial a Ray Train worker group, which trains and reports one number (`--nested` trials);
- `optuna`: a loop of ask, train, tell in this process.

Each time is from the end of one trial to the end of the next, less the training, of which the first two are left out. Then the
driver's memory and share of a core while `study` ran, and how long a study with `--records` finished trials takes to go on.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
import yaml
from ray import train, tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from study import run
from study.engine.cluster.connection import connected
from study.engine.start.start import open_store, start
from study.engine.training.fit import fit
from study.engine.training.session import TrainingSession
from study.engine.training.workers import WorkerGroup
from study.evidence.store import Store
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec

STUDY: dict[str, Any] = {
    "study": "overhead",
    "data": {"dataset": "odir5k", "phantom_patients": 240, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "training": {"epochs": 1, "warmup_epochs": 0},
}
CACHE = run.CACHE


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=40)
    cli.add_argument("--nested", type=int, default=4)
    cli.add_argument("--records", type=int, default=10_000)
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock, driver = time.perf_counter(), watched_driver()
        say("study", of_study(folder, "alone", args.trials, {"concurrent": 1, "cpus_per_worker": 1}))
        taken, wall = driver[0], time.perf_counter() - clock
        print(
            f"driver  {taken.ru_maxrss / 2**20:.2f} GiB, {taken.ru_utime + taken.ru_stime:.0f} s of a core in {wall:.0f} s, report left out"
        )
        if args.nested:
            say(
                "group",
                of_study(
                    folder, "group", args.nested, {"concurrent": 1, "workers": 2, "cpus_per_worker": 0.5}
                ),
            )
            say("tune", of_tune(folder, args.nested))
        say("optuna", of_optuna(args.trials))
        if args.records:
            wall, busy = resume(folder, args.records)
            print(f"resume  {wall:.1f} s ({busy:.1f} s of a core) with {args.records:,} records")


def watched_driver() -> list[resource.struct_rusage]:
    """Gets what this process had used when the last trial was done, before the report is written."""
    used: list[resource.struct_rusage] = []
    write_report = run.write_report

    def watched(where: str) -> Path:
        used.append(resource.getrusage(resource.RUSAGE_SELF))
        return write_report(where)

    run.write_report = watched
    return used


def say(who: str, beside: list[float]) -> None:
    print(
        f"{who:<8}{statistics.median(beside):.2f} s beside the training ({min(beside):.2f} to {max(beside):.2f}, {len(beside)} trials)"
    )


def of_study(folder: Path, name: str, trials: int, resources: dict[str, Any]) -> list[float]:
    file = folder / f"{name}.yaml"
    file.write_text(
        yaml.safe_dump(
            {**STUDY, "study": name, "search": {"trials": trials, "pruner": "none"}, "resources": resources}
        )
    )
    assert run.main([str(file), "--storage", str(folder)]) == 0
    store = Store(folder / name)
    found = store.read("trial", columns=["trial", "role", "ended"])
    found = found[found["role"] == "search"].sort_values("ended")
    seconds = store.read("epochs").set_index("trial")["seconds"]
    return between(
        [end.timestamp() for end in found["ended"]], [float(seconds[key]) for key in found["trial"]]
    )


def of_tune(folder: Path, trials: int) -> list[float]:
    """As the documentation of Ray Train shows it."""
    ended, seconds = [], []
    limited = ConcurrencyLimiter(OptunaSearch(space=suggest, metric="value", mode="max"), max_concurrent=1)
    with connected("local", 2, folder / "ray.log"):
        tuner = tune.Tuner(
            tune.with_resources(nested, {"cpu": 0.05}),
            tune_config=tune.TuneConfig(search_alg=limited, num_samples=trials),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        )
        for result in tuner.fit():
            ended.append(result.metrics["timestamp_s"])
            seconds.append(result.metrics["seconds"])
    order = sorted(range(len(ended)), key=ended.__getitem__)
    return between([ended[i] for i in order], [seconds[i] for i in order])


def suggest(trial: optuna.Trial) -> None:
    trial.suggest_float("lr", 1e-4, 1e-2, log=True)


def nested(config: dict[str, Any]) -> None:
    scaling = ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9})
    TorchTrainer(
        worker,
        train_loop_config=config,
        scaling_config=scaling,
        run_config=RunConfig(callbacks=[TuneReportCallback()]),
    ).fit()


def worker(config: dict[str, Any]) -> None:
    value, seconds = training(config["lr"])
    train.report({"value": value, "seconds": seconds, "timestamp_s": time.time()})


def of_optuna(trials: int) -> list[float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked, ended, seconds = optuna.create_study(direction="maximize"), [], []
    for _ in range(trials):
        trial = asked.ask()
        value, taken = training(trial.suggest_float("lr", 1e-4, 1e-2, log=True))
        asked.tell(trial, value)
        ended.append(time.time())
        seconds.append(taken)
    return between(ended, seconds)


def training(lr: float) -> tuple[float, float]:
    """One trial's training: its value and its seconds."""
    torch.set_num_threads(1)
    session = TrainingSession.from_spec(
        TrialSpec.read({**without_search(), "optimiser": {"lr": lr}}), CACHE, torch.device("cpu")
    )
    batches = session.training_batches(WorkerGroup())
    *_, last = fit(
        session.net,
        session.loss,
        batches,
        session.evaluate,
        session.spec.optimiser,
        session.spec.training,
        session.device,
    )
    return last.value, last.seconds


def without_search() -> dict[str, Any]:
    return {key: value for key, value in STUDY.items() if key != "study"}


def between(ended: list[float], seconds: list[float]) -> list[float]:
    """From one end to the next, less the training in between; the first two trials load torch and the data."""
    return [b - a - s for a, b, s in zip(ended, ended[1:], seconds[1:], strict=False)][1:]


def resume(folder: Path, num: int) -> tuple[float, float]:
    """Seconds from the records of a study with `num` finished trials to the plan of what is left."""
    store = Store(folder / "alone")
    key = next(k for k in sorted(store.keys()) if k.startswith("search-"))
    source = folder / "alone" / "trials"
    tables = {name: pq.read_table(source / key / f"{name}.parquet") for name in ("trial", "epochs")}
    for number in range(num):
        name = f"search-{number:05d}"
        (source / name).mkdir(exist_ok=True)
        for table, rows in tables.items():
            changes = {
                "trial": name,
                "number": number,
                "params": json.dumps({"optimiser.lr": 1e-4 * (1 + number / num)}),
            }
            for column, value in changes.items():
                if column in rows.column_names:
                    field = rows.schema.field(column)
                    rows = rows.set_column(
                        rows.schema.get_field_index(column), field, pa.array([value] * len(rows), field.type)
                    )
            pq.write_table(rows, source / name / f"{table}.parquet")
    nothing: Callable[[int, int], None] = lambda done, total: None
    wanted = {"search.trials": num + 10, "storage": str(folder)}
    clock, busy = time.perf_counter(), time.process_time()
    resolved = resolve(folder / "alone.yaml", wanted, "auto", False)
    ready = start(resolved, open_store(resolved), "{}", CACHE, nothing, nothing, extend=True)
    assert ready.plan.num_left >= 10, ready.plan.num_left
    return time.perf_counter() - clock, time.process_time() - busy


if __name__ == "__main__":
    os.environ.setdefault(
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2"
    )  # the default adds 2 s to each nested trial
    assert not ray.is_initialized()
    main()
