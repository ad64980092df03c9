"""Trials per hour with a frozen backbone, from kept features and from images.

    uv run python benchmarks/frozen_features.py [--backbone squeezenet1_1] [--image-px 112] [--patients 160]
                                                [--epochs 8] [--repeats 3]

A trial is opened, trained and scored on drawn images in this process, without Ray; its records are not
written. Both ways run in turn, and their ratio is taken in each turn. The weights are untrained, which does
not change the time.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from study.engine.training.fit import fit
from study.engine.training.scoring import score_splits
from study.engine.training.session import TrainingSession
from study.engine.training.workers import ALONE
from study.spec.resources import FEATURES_GB
from study.spec.trial_spec import TrialSpec

NETWORKS: dict[str, dict[str, Any]] = {
    "concat of pooled vectors": {"fusion": "concat"},
    "OSIM and CASFM on maps": {"context": "osim", "fusion": "casfm"},
}
STILL = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}


def trial(spec: TrialSpec, cache: Path, device: torch.device, features_gb: float) -> float:
    """Seconds of a whole trial."""
    began = time.perf_counter()
    session = TrainingSession.from_spec(spec, cache, device, features_gb)
    assert (session.features is None) == (features_gb == 0)
    batches = session.training_batches(ALONE)
    epochs = fit(
        session.trained, session.loss, batches, session.evaluate, spec.optimiser, spec.training, device
    )
    for _ in epochs:
        pass
    score_splits("a", session)
    return time.perf_counter() - began


def compare(name: str, spec: TrialSpec, cache: Path, repeats: int) -> None:
    """Prints the trials per hour of both ways, and their ratio."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.perf_counter()
    TrainingSession.from_spec(spec, cache, device)
    making_s = time.perf_counter() - began
    kept, images = [], []
    for _ in range(repeats):
        images.append(trial(spec, cache, device, 0))
        kept.append(trial(spec, cache, device, FEATURES_GB))
    ratios = [slow / fast for slow, fast in zip(images, kept, strict=True)]
    print(f"{name}: features made once in {making_s:.1f} s")
    for way, seconds in (("from features", kept), ("from images", images)):
        hourly = sorted(3600 / s for s in seconds)
        print(f"  {way:<14}{statistics.median(hourly):8.0f} trials/h  ({hourly[0]:.0f} to {hourly[-1]:.0f})")
    print(
        f"  {'ratio':<14}{statistics.median(ratios):8.1f}           ({min(ratios):.1f} to {max(ratios):.1f})"
    )


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--backbone", default="squeezenet1_1")
    cli.add_argument("--image-px", type=int, default=112)
    cli.add_argument("--patients", type=int, default=160)
    cli.add_argument("--epochs", type=int, default=8)
    cli.add_argument("--repeats", type=int, default=3)
    args = cli.parse_args()
    where = "cuda" if torch.cuda.is_available() else f"cpu x {torch.get_num_threads()}"
    print(f"{args.backbone} at {args.image_px} px, {args.patients} patients, {args.epochs} epochs, {where}")
    with tempfile.TemporaryDirectory() as folder:
        for name, network in NETWORKS.items():
            settings = {
                "data": {
                    "dataset": "odir5k",
                    "phantom_patients": args.patients,
                    "image_px": args.image_px,
                    "augmentation": {"flip": True, **STILL},
                },
                "model": {"backbone": {"name": args.backbone, "freeze": "all"}, **network},
                "training": {"epochs": args.epochs, "patience": args.epochs},
            }
            compare(name, TrialSpec.read(settings), Path(folder), args.repeats)


if __name__ == "__main__":
    main()
