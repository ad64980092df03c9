"""Records learning curves of configurations drawn at random, for `search.py` to replay.

    uv run python benchmarks/record_curves.py ODIR5K_FOLDER WEIGHTS_FOLDER [--minutes 50] [--out FILE]

The space is that of `recorded_space.py`. Configuration n is drawn with seed n; every tenth one works on maps,
the others on vectors, and every seventh one is trained with three seeds. Each is trained in this process with
kept features and without Ray. The file is written anew after some trainings, and a call goes on behind what
the file holds, so that the recording may be stopped at any time.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import torch
from pyarrow import parquet
from recorded_space import STUDY  # a script finds the file beside it
from torch import nn

from models.siamese import SiameseNet
from study.data.cohort import open_cohort
from study.engine.training.fit import fit
from study.engine.training.network import build_criterion, build_network
from study.engine.training.session import TrainingSession
from study.engine.training.workers import ALONE
from study.evidence.embed import embed
from study.evidence.metrics import metric_value
from study.evidence.objective import measure_of
from study.spec.holes import Scalar
from study.spec.reading import override
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

OUT = Path(__file__).parent / "recorded_curves.parquet"
SCHEMA = pa.schema(
    {
        "number": pa.int32(),
        "seed": pa.int8(),
        "params": pa.string(),  # JSON
        "value": pa.list_(pa.float32()),  # macro average precision on validation, by epoch
        "seconds": pa.list_(pa.float32()),  # of CPU time for training and validation, by epoch
    }
)
DEVICE = torch.device("cpu")
EVERY = 5  # trainings, after which the file is written


class Recorder:
    """Trains configurations of the space.

    Args:
        data: Folder of ODIR-5K.
        weights: Folder of the weights, named by their backbones.
        cached: Folder of the caches of images and features.
    """

    def __init__(self, data: Path, weights: Path, cached: Path) -> None:
        places = {
            f"weights.{name}": str(weights / f"{name}.pth") for name in ("mobilenet_v2", "squeezenet1_1")
        }
        self.study = StudySpec.read(override(STUDY, {"data.root": str(data), **places}))
        self.cached = cached
        self._opened: dict[tuple[str, int | None, bool], TrainingSession] = {}
        self._pairs = open_cohort(self.study.preset({}).data, cached).pairs

    def draw(self, number: int) -> tuple[TrialSpec, dict[str, Scalar]]:
        """The configuration of that number with its parameters."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
        study.enqueue_trial({"bundles.network": "maps" if number % 10 == 9 else "vectors"})
        trial = study.ask()
        return self.study.fill(trial), dict(trial.params)

    def train(self, spec: TrialSpec) -> dict[str, Any]:
        """The training's curves, as columns of the file."""
        session = self._session(spec)
        objective, kind = measure_of(str(spec.objective)), session.cohort.pairs.kind
        features = session.features
        assert features is not None

        rows = session.cohort.rows("val")

        def evaluate(net: nn.Module) -> tuple[float, float]:
            assert isinstance(net, SiameseNet)
            kept = features.evaluation_batches(rows, len(rows), exchange=False)
            found = embed(net, kept, DEVICE, bfloat16=False, from_features=True)
            return metric_value(objective, kind, found.target, found.score, spec.thresholds), 0.0

        epochs = fit(
            session.trained,
            session.loss,
            session.training_batches(ALONE),
            evaluate,
            spec.optimiser,
            spec.training,
            DEVICE,
        )
        values, seconds, began = [], [], time.process_time()
        for epoch in epochs:
            values.append(epoch.value)
            seconds.append(time.process_time() - began)
            began = time.process_time()
        return {"value": values, "seconds": seconds}

    def _session(self, spec: TrialSpec) -> TrainingSession:
        """As `TrainingSession.from_spec`, with data and features that are opened once for each kind."""
        backbone = spec.model.backbone
        torch.manual_seed(spec.training.seed)
        net = build_network(spec, len(self._pairs.labels), self._pairs.num_views)
        kind = (backbone.name, backbone.reduce, net.keeps_vectors)
        if kind not in self._opened:
            self._opened[kind] = TrainingSession.from_spec(spec, self.cached, DEVICE)
        base = self._opened[kind]
        assert base.features is not None
        net.backbone.net, net.backbone.components = nn.Identity(), None  # the features stand in for both
        targets = torch.from_numpy(base.cohort.images_of("train").targets).float()
        loss = build_criterion(spec, net, targets)
        return replace(base, spec=spec, net=net, loss=loss, features=replace(base.features, spec=spec))


def schedule() -> Iterator[tuple[int, int]]:
    """Numbers of configurations with their seeds, without an end."""
    for number in count():
        for seed in range(3 if number % 7 == 0 else 1):
            yield number, seed


def write(rows: list[dict[str, Any]], out: Path) -> None:
    """Writes the file anew, whole or not at all."""
    made = out.with_suffix(".part")
    parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), made, compression="zstd")
    made.replace(out)


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("data", type=Path)
    cli.add_argument("weights", type=Path)
    cli.add_argument("--cache", type=Path, default=Path("cache"))
    cli.add_argument("--minutes", type=float, default=50)
    cli.add_argument("--out", type=Path, default=OUT)
    args = cli.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    end = time.monotonic() + 60 * args.minutes
    recorder = Recorder(args.data, args.weights, args.cache)
    rows: list[dict[str, Any]] = parquet.read_table(args.out).to_pylist() if args.out.exists() else []
    for number, seed in islice(schedule(), len(rows), None):
        spec, params = recorder.draw(number)
        curves = recorder.train(spec.repeated(seed=seed, fold=0, folds=1))
        rows.append({"number": number, "seed": seed, "params": json.dumps(params), **curves})
        over = time.monotonic() > end
        if len(rows) % EVERY == 0 or over:
            write(rows, args.out)
            print(f"{len(rows)} trainings, {number + 1} configurations", flush=True)
        if over:
            return


if __name__ == "__main__":
    main()
