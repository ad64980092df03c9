"""Time that a trial takes beside its training, compared with plain Ray Tune and with a plain Optuna loop.

    uv run python benchmarks/overhead.py [--trials 40] [--nested 4] [--records 10000]

The same tiny network is trained for one epoch, trial after trial, one at a time:

- `study`: this project, which also embeds the samples, scores them and writes every prediction;
- `frozen`: the same behind a frozen MobileNetV2 with weights from a file, whose features are kept;
- `group`: the same with a worker group of two, as trials on several devices have it (`--nested` trials);
- `tune`: Ray Tune with OptunaSearch; each trial is a Ray Train worker group of one, which trains and reports
  one number (`--nested` trials);
- `optuna`: a loop in this process that asks, trains and tells.

Each time is the time from the end of one trial to the end of the next, less the second one's training. The
first two trials are left out. Then follow the driver's memory and its share of a core while `study` ran, and
the time that a study with `--records` finished trials needs to go on.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

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
from torchvision import models

from study import run
from study.engine.cluster.connection import connected
from study.engine.search.packing import TRIALS_OF_PACK
from study.engine.start.start import open_store, start
from study.engine.training.fit import fit
from study.engine.training.session import TrainingSession
from study.engine.training.workers import ALONE
from study.evidence.schema import TABLES
from study.evidence.store import Store
from study.places import CACHE
from study.report import write_report
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec

SETTINGS: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 240, "image_px": 64},
    "model": {"backbone": "tiny"},
    "training": {"epochs": 1, "warmup_epochs": 0},
}
FROZEN: dict[str, Any] = {
    **SETTINGS,
    "data": {
        **SETTINGS["data"],
        "augmentation": {
            "flip": True,
            **dict.fromkeys(("rotate_deg", "scale", "brightness", "contrast", "saturation"), 0),
        },
    },
    "model": {"backbone": {"name": "mobilenet_v2", "weights": "imagenet", "freeze": "all"}},
}
SEARCHED = {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}
ONE_PROCESS = {"concurrent": 1, "cpus_per_worker": 1}
TWO_WORKERS = {"concurrent": 1, "workers": 2, "cpus_per_worker": 0.5}


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=40)
    cli.add_argument("--nested", type=int, default=4)
    cli.add_argument("--records", type=int, default=10_000)
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("study", with_driver_usage(folder, args.trials))
        say("frozen", of_study(folder, "frozen", args.trials, ONE_PROCESS, frozen(folder)))
        if args.nested:
            say("group", of_study(folder, "group", args.nested, TWO_WORKERS))
            say("tune", of_tune(folder, args.nested))
        say("optuna", of_optuna(args.trials))
        if args.records:
            wall, busy = resume(folder, args.records)
            print(f"resume  {wall:.1f} s ({busy:.1f} s of a core) with {args.records:,} records")


def say(who: str, seconds: Sequence[float]) -> None:
    """Prints the median of the times beside the training, and their range."""
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} trials"
    print(f"{who:<8}{statistics.median(seconds):.2f} s beside the training ({spread})")


def with_driver_usage(folder: Path, trials: int) -> list[float]:
    """Runs the study in one process, and prints what its driver had used before it wrote the report."""
    usage: list[resource.struct_rusage] = []

    def watched(where: str) -> str:
        usage.append(resource.getrusage(resource.RUSAGE_SELF))
        return write_report(where)

    began = time.perf_counter()
    with patch.object(run, "write_report", watched):
        seconds = of_study(folder, "alone", trials, ONE_PROCESS)
    wall = time.perf_counter() - began
    memory_gib, busy = usage[0].ru_maxrss / 2**20, usage[0].ru_utime + usage[0].ru_stime
    print(f"driver  {memory_gib:.2f} GiB, {busy:.0f} s of a core in {wall:.0f} s, without the report")
    return seconds


def frozen(folder: Path) -> dict[str, Any]:
    """The settings of `frozen`, with weights that are drawn into a file."""
    file = folder / "mobilenet_v2.pth"
    torch.save(models.get_model("mobilenet_v2").state_dict(), file)
    return {**FROZEN, "weights": {"mobilenet_v2": str(file)}}


def of_study(
    folder: Path,
    name: str,
    trials: int,
    resources: dict[str, Any],
    settings: Mapping[str, Any] = SETTINGS,
) -> list[float]:
    """Times of this project."""
    run_study(folder, name, trials, resources, settings)
    return beside_training_of(Store(folder / name))


def run_study(
    folder: Path,
    name: str,
    trials: int,
    resources: dict[str, Any],
    settings: Mapping[str, Any] = SETTINGS,
) -> None:
    """Runs a study whose file and records are named in the folder."""
    file = folder / f"{name}.yaml"
    study = {
        **settings,
        "study": name,
        "optimiser": SEARCHED,
        "search": {"trials": trials, "pruner": "none"},
        "resources": resources,
    }
    file.write_text(yaml.safe_dump(study))
    assert run.main([str(file), "--storage", str(folder)]) == 0


def beside_training_of(store: Store) -> list[float]:
    """Times of the search trials of a run."""
    found = store.read("trial", columns=["trial", "role", "ended"])
    found = found[found["role"] == "search"].sort_values("ended")
    training = store.read("epochs").set_index("trial")["seconds"]
    ended = [end.timestamp() for end in found["ended"]]
    return beside_training(ended, [float(training[key]) for key in found["trial"]])


def of_tune(folder: Path, trials: int) -> list[float]:
    """Times of Ray Tune and Ray Train, used as the documentation of Ray Train shows."""
    found: list[tuple[float, float]] = []
    search = OptunaSearch(space=suggest, metric="value", mode="max")
    with connected("local", 2, folder / "ray.log"):
        tuner = tune.Tuner(
            tune.with_resources(tune_trial, {"cpu": 0.05}),
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(search, max_concurrent=1), num_samples=trials
            ),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        )
        results = tuner.fit()
        for i in range(len(results)):
            metrics = results[i].metrics
            assert metrics is not None
            found.append((metrics["timestamp_s"], metrics["seconds"]))
    found.sort()
    return beside_training([end for end, _ in found], [seconds for _, seconds in found])


def suggest(trial: optuna.Trial) -> None:
    trial.suggest_float("lr", 1e-4, 1e-2, log=True)


def tune_trial(config: dict[str, Any]) -> None:
    """A trial of Ray Tune, which starts a worker group of Ray Train."""
    # Ray accepts this callback of Tune's, but types the list for those of Train.
    callbacks: list[Any] = [TuneReportCallback()]
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=RunConfig(callbacks=callbacks),
    )
    trainer.fit()


def train_worker(config: dict[str, Any]) -> None:
    """The worker of a group."""
    value, seconds = train_once(config["lr"])
    train.report({"value": value, "seconds": seconds, "timestamp_s": time.time()})


def of_optuna(trials: int) -> list[float]:
    """Times of a plain Optuna loop."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    ended: list[float] = []
    training: list[float] = []
    for _ in range(trials):
        trial = study.ask()
        value, seconds = train_once(trial.suggest_float("lr", 1e-4, 1e-2, log=True))
        study.tell(trial, value)
        ended.append(time.time())
        training.append(seconds)
    return beside_training(ended, training)


def train_once(lr: float) -> tuple[float, float]:
    """Trains as one trial does, and gives its value and its seconds."""
    torch.set_num_threads(1)
    spec = TrialSpec.read({**SETTINGS, "optimiser": {"lr": lr}})
    session = TrainingSession.from_spec(spec, CACHE, torch.device("cpu"))
    batches = session.image_batches(ALONE)
    epochs = fit(
        session.net, session.loss, batches, session.evaluate, spec.optimiser, spec.training, session.device
    )
    *_, last = epochs
    return last.value, last.seconds


def beside_training(ended: Sequence[float], training: Sequence[float]) -> list[float]:
    """Seconds from one end to the next, less the training in between.

    The first two trials are left out, since they load torch and the data.
    """
    pairs = zip(ended, ended[1:], training[1:], strict=False)
    return [end - before - seconds for before, end, seconds in pairs][1:]


def resume(folder: Path, num: int) -> tuple[float, float]:
    """Wall and processor seconds that a study with so many finished trials needs until its plan is there."""
    copy_records(folder / "alone", num)
    wanted = {"search.trials": num + 10, "storage": str(folder)}
    wall, busy = time.perf_counter(), time.process_time()
    resolved = resolve(folder / "alone.yaml", wanted, "auto", has_gpu=False)
    ready = start(resolved, open_store(resolved), "{}", CACHE, ignore, ignore, extend=True)
    assert ready.plan.num_left >= 10, ready.plan.num_left
    return time.perf_counter() - wall, time.process_time() - busy


def ignore(done: int, total: int) -> None:
    """Takes a progress and shows nothing."""


def copy_records(run_folder: Path, num: int) -> None:
    """Makes so many finished trials out of one, each with its own key, number and learning rate.

    They are packed as the trials of a long study are. Tables that a new start does not read are left empty.
    """
    store = Store(run_folder)
    source = next(key for key in sorted(store.keys()) if key.startswith("search-"))
    tables = {name: store.read_table(name, [source]) for name in ("trial", "epochs")}
    trials = run_folder / "trials"
    for number in range(num):
        key = f"search-{number:05d}"
        params = json.dumps({"optimiser.lr": 1e-4 * (1 + number / num)})
        changes = {"trial": key, "number": number, "params": params}
        (trials / key).mkdir(exist_ok=True)
        for name, schema in TABLES.items():
            rows = with_values(tables[name], changes) if name in tables else schema.empty_table()
            pq.write_table(rows, trials / key / f"{name}.parquet")
    keys = [f"search-{number:05d}" for number in range(num)]
    for first in range(0, num - TRIALS_OF_PACK + 1, TRIALS_OF_PACK):
        store.packs.write(keys[first : first + TRIALS_OF_PACK])


def with_values(table: pa.Table, values: dict[str, Any]) -> pa.Table:
    """The table with one value in every row of some columns; a column that it lacks is passed over."""
    for name in values.keys() & set(table.column_names):
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array([values[name]] * len(table), field.type))
    return table


if __name__ == "__main__":
    # The default adds two seconds to each trial of a nested group.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    assert not ray.is_initialized()
    main()
