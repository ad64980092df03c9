"""Trials per hour of this project beside those of the recipe that Ray's own guides give for the same search.

    uv run python benchmarks/stock_recipe.py [--cases pooled maps trained] [--patients 300] [--image-px 128]
                                             [--backbone mobilenet_v2] [--epochs 8] [--stock 6] [--ours 24]

The recipe: Ray Tune with `OptunaSearch` and `AsyncHyperBandScheduler`; each trial is a `TorchTrainer` with a
worker group of one, which reads JPEG files by a `DataLoader`, resizes, flips and normalises them, trains, and
reports the mean average precision on validation after each epoch. A frozen backbone runs without gradient,
in evaluation mode. Network, loss, optimiser, split, epochs and cores of a trial are those of this project's
study, and two trials run at a time. Nothing is stopped early, so that both train the same epochs; the recipe
writes no predictions, no embeddings and no test scores.

- `pooled`: a frozen backbone and a concatenation of pooled vectors.
- `maps`: a frozen backbone, OSIM and CASFM on 64 principal components of its maps; the recipe gets the same
  components as a fixed layer.
- `trained`: everything is trained, at half the size of the images.

Both run in turn, on drawn eyes. Trials per hour are counted from the end of the second trial on, since the
first ones start processes and make what is kept. Their spread is that of the single trials. `arithmetic` is
the time that the multiplications of a recipe's trial take at this machine's measured rate of a matrix
product: no program that runs the backbone in every epoch is faster.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
import yaml
from PIL import Image
from ray import train, tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from models.siamese import SiameseNet
from study import run
from study.data.cohort import Cohort, open_cohort
from study.engine.cluster.connection import connected
from study.engine.training.cost import multiply_adds
from study.engine.training.network import build_criterion, build_network
from study.engine.training.session import TrainingSession
from study.evidence.store import Store
from study.places import CACHE
from study.spec.trial_spec import TrialSpec

SLOTS = 2  # trials at a time, each with one core
STILL = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
LOW, HIGH = 1e-4, 1e-2  # of the learning rate
CASES: dict[str, dict[str, Any]] = {
    "pooled": {"backbone": {"freeze": "all"}, "fusion": "concat"},
    "maps": {
        "backbone": {"freeze": "all", "reduce": 64},
        "context": "osim",
        "fusion": {"name": "casfm", "dim": 64},
    },
    "trained": {"backbone": {}, "fusion": "concat"},
}


def settings_of(case: str, args: argparse.Namespace) -> dict[str, Any]:
    """The trial of a case, without its learning rate."""
    model = CASES[case]
    px = args.image_px // 2 if case == "trained" else args.image_px
    return {
        "data": {
            "dataset": "odir5k",
            "phantom_patients": args.patients,
            "image_px": px,
            "augmentation": {"flip": True, **STILL},
        },
        "model": {**model, "backbone": {"name": args.backbone, **model["backbone"]}},
        "training": {"epochs": args.epochs, "patience": args.epochs, "warmup_epochs": 0},
        "objective": "macro_average_precision",
    }


class Eyes(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of JPEG files."""

    def __init__(self, folder: Path, split: str, px: int) -> None:
        sheet = json.loads((folder / "split.json").read_text())
        self.rows: list[tuple[list[str], list[float]]] = sheet[split]
        self.folder, self.flips = folder, split == "train"
        self.prepare = v2.Compose(
            [
                v2.ToImage(),
                v2.Resize((px, px), antialias=True),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        names, targets = self.rows[i]
        eyes = [self.prepare(Image.open(self.folder / name).convert("RGB")) for name in names]
        if self.flips and torch.rand(()) < 0.5:
            eyes = [eye.flip(-1) for eye in reversed(eyes)]
        return torch.stack(eyes), torch.tensor(targets)


def write_files(cohort: Cohort, folder: Path) -> None:
    """The photographs as JPEG files, and the samples of each split with their labels."""
    pairs = cohort.pairs
    sheet = {}
    for split in ("train", "val"):
        rows = []
        for row in cohort.rows(split):
            names: list[str] = []
            for key in pairs.keys[row]:
                assert key is not None
                names.append(f"{len(names)}_{row}.jpg")
                Image.fromarray(pairs.load(key)).save(folder / names[-1], quality=95)
            rows.append((names, pairs.targets[row].astype(float).tolist()))
        sheet[split] = rows
    (folder / "split.json").write_text(json.dumps(sheet))


def recipe(case: str, args: argparse.Namespace, folder: Path) -> list[float]:
    """When each trial of the recipe ended, in seconds since the epoch."""
    settings = settings_of(case, args)
    spec = TrialSpec.read(settings)
    files = folder / f"files-{case}"
    files.mkdir()
    write_files(open_cohort(spec.data, CACHE), files)
    session = TrainingSession.from_spec(spec, CACHE, torch.device("cpu"))
    torch.save(session.net.state_dict(), files / "start.pt")  # with the principal components
    fixed = {"settings": settings, "files": str(files)}
    search = OptunaSearch(space=suggest, metric="value", mode="max")
    scheduler = AsyncHyperBandScheduler(
        time_attr="epoch", metric="value", mode="max", max_t=args.epochs, grace_period=args.epochs
    )
    with connected("local", 2, folder / "ray.log"):
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(tune_trial, fixed=fixed), {"cpu": 0.05}),
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(search, max_concurrent=SLOTS),
                scheduler=scheduler,
                num_samples=args.stock,
            ),
            run_config=tune.RunConfig(storage_path=str(folder / f"tune-{case}"), verbose=0),
        )
        results = tuner.fit()
        assert not results.errors, results.errors
        ended = [results[i].metrics for i in range(len(results))]
    return [metrics["timestamp_s"] for metrics in ended if metrics is not None]


def suggest(trial: optuna.Trial) -> None:
    trial.suggest_float("lr", LOW, HIGH, log=True)


def tune_trial(config: dict[str, Any], fixed: dict[str, Any]) -> None:
    """A trial of Ray Tune, which starts a worker group of Ray Train."""
    callbacks: list[Any] = [TuneReportCallback()]  # typed for Train's own, but Ray takes Tune's
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={**config, **fixed},
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=RunConfig(callbacks=callbacks),
    )
    trainer.fit()


def train_worker(config: dict[str, Any]) -> None:
    """The worker of a group: one training, as a user would write it."""
    torch.set_num_threads(1)
    spec = TrialSpec.read({**config["settings"], "optimiser": {"lr": config["lr"]}})
    files, px = Path(config["files"]), spec.data.image_px
    frozen = spec.model.backbone.freeze == "all"
    net = build_network(spec, 8, 2)
    net.load_state_dict(torch.load(files / "start.pt"))
    training, validation = (
        DataLoader(Eyes(files, split, px), spec.training.batch_size, shuffle=split == "train")
        for split in ("train", "val")
    )
    targets = torch.tensor([row[1] for row in Eyes(files, "train", px).rows])
    loss = build_criterion(spec, net, targets)
    model = train.torch.prepare_model(net.to(memory_format=torch.channels_last))
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, config["lr"], weight_decay=spec.optimiser.weight_decay)
    for epoch in range(1, spec.training.epochs + 1):
        model.train()
        for images, labels in training:
            output = of_frozen(net, images) if frozen else model(images)
            step = loss(output, labels, labels[:, None].expand(-1, 2, -1))
            optimiser.zero_grad(set_to_none=True)
            step.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
        value = validate(model, validation)
        train.report({"value": value, "epoch": epoch, "timestamp_s": time.time()})


def of_frozen(net: SiameseNet, images: Tensor) -> Any:
    """The network's output; its frozen part keeps no activations."""
    with torch.no_grad():
        features = net.features(images)
    return net.forward_features(features)


def validate(model: nn.Module, batches: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Mean average precision over the labels that have a carrier."""
    model.eval()
    with torch.inference_mode():
        found = [(model(images).logits.sigmoid(), labels) for images, labels in batches]
    scores, labels = (torch.cat(part).numpy() for part in zip(*found, strict=True))
    carried = labels.any(0)
    return float(np.mean(average_precision_score(labels[:, carried], scores[:, carried], average=None)))


def study(case: str, args: argparse.Namespace, folder: Path) -> list[float]:
    """When each trial of this project ended, in seconds since the epoch."""
    file = folder / f"{case}.yaml"
    search = {"trials": args.ours, "pruner": "none"}
    resources = {"concurrent": SLOTS, "cpus_per_worker": 1}
    whole = {
        **settings_of(case, args),
        "study": case,
        "optimiser": {"lr": {"type": "float", "low": LOW, "high": HIGH, "log": True}},
    }
    file.write_text(yaml.safe_dump({**whole, "search": search, "resources": resources}))
    assert run.main([str(file), "--storage", str(folder)]) == 0
    found = Store(folder / case).read("trial", columns=["role", "ended"])
    return [end.timestamp() for end in found[found["role"] == "search"]["ended"]]


def seconds_each(ended: Sequence[float]) -> list[float]:
    """Seconds of each trial from the third on, as if one ran after the other."""
    ordered = sorted(ended)
    return [(after - before) / 2 for before, after in zip(ordered[1:], ordered[3:], strict=False)]


def matrix_rate() -> float:
    """Multiplications with an addition that one core does in a second, in a product of two matrices."""
    torch.set_num_threads(1)
    a = torch.randn(1024, 1024)
    times = []
    for _ in range(9):
        began = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - began)
    return len(a) ** 3 / statistics.median(times)


def arithmetic_s(case: str, args: argparse.Namespace) -> float:
    """Seconds of a recipe's trial at the rate of a matrix product; a backward pass counts as two forward."""
    spec = TrialSpec.read(settings_of(case, args))
    cohort = open_cohort(spec.data, CACHE)
    num_train, num_val = len(cohort.rows("train")), len(cohort.rows("val"))
    a_sample = multiply_adds(build_network(spec, 8, 2), 2, spec.data.image_px)
    passes = 1 if spec.model.backbone.freeze == "all" else 3
    return spec.training.epochs * (passes * num_train + num_val) * a_sample / matrix_rate()


def compare(case: str, args: argparse.Namespace, folder: Path) -> None:
    """Prints the trials per hour of both, and their ratio."""
    found = {"recipe": recipe(case, args, folder), "study": study(case, args, folder)}
    each = {who: seconds_each(ended) for who, ended in found.items()}
    print(f"\n{case}: {args.backbone}, {args.patients} patients, {args.epochs} epochs")
    for who, seconds in each.items():
        hourly = sorted(3600 / s for s in seconds)
        spread = f"{hourly[0]:.0f} to {hourly[-1]:.0f}, {len(seconds)} trials"
        print(f"  {who:<8}{statistics.median(hourly):8.0f} trials an hour ({spread})")
    slow, fast = (each[who] for who in ("recipe", "study"))
    ratio = statistics.median(slow) / statistics.median(fast)
    low, high = min(slow) / max(fast), max(slow) / min(fast)
    print(f"  ratio   {ratio:8.1f} ({low:.1f} to {high:.1f})")
    print(f"  arithmetic of the recipe's trial on one core: {arithmetic_s(case, args):.1f} s")


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    cli.add_argument("--patients", type=int, default=300)
    cli.add_argument("--image-px", type=int, default=128)
    cli.add_argument("--backbone", default="mobilenet_v2")
    cli.add_argument("--epochs", type=int, default=8)
    cli.add_argument("--stock", type=int, default=6, help="trials of the recipe")
    cli.add_argument("--ours", type=int, default=24, help="trials of this project")
    args = cli.parse_args()
    for case in args.cases:
        with tempfile.TemporaryDirectory() as folder:
            compare(case, args, Path(folder))


if __name__ == "__main__":
    assert not ray.is_initialized()
    main()
