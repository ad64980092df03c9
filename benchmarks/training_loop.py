"""Pairs per second of the training loop beside those of a bare torch loop on the same network.

    uv run python benchmarks/training_loop.py [--backbone resnet18] [--image-px 128] [--batch-size 16]
                                              [--repeats 5]

The training loop reads drawn images from the cache, augments them, clips the gradients and steps. The bare
loop only does forward, loss, backward and step, on one random batch. Both run in turn in one process, and
their medians are compared.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.batches import Batches
from study.engine.training.fit import fit
from study.engine.training.session import TrainingSession
from study.engine.training.workers import WorkerGroup
from study.spec.trial_spec import TrialSpec


def bare_loop(net: SiameseNet, loss: nn.Module, images: Tensor, targets: Tensor, steps: int) -> float:
    """Pairs per second of a loop in plain torch."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, foreach=True)
    net.train()
    began = time.perf_counter()
    for _ in range(steps):
        step_loss = loss(net(images), targets, targets[:, None])
        optimiser.zero_grad(set_to_none=True)
        step_loss.backward()
        optimiser.step()
    if images.is_cuda:
        torch.cuda.synchronize()
    return steps * len(images) / (time.perf_counter() - began)


def our_loop(session: TrainingSession, batches: Batches) -> float:
    """Pairs per second of the project's training loop, in one epoch without validation."""
    epochs = fit(
        session.net,
        session.loss,
        batches,
        lambda net: (0.0, 0.0),
        session.spec.optimiser,
        session.spec.training,
        session.device,
    )
    return next(epochs).pairs_per_second


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--backbone", default="resnet18")
    cli.add_argument("--image-px", type=int, default=128)
    cli.add_argument("--batch-size", type=int, default=16)
    cli.add_argument("--repeats", type=int, default=5)
    args = cli.parse_args()
    settings = {
        "data": {"dataset": "odir5k", "phantom_patients": 160, "image_px": args.image_px},
        "model": {"backbone": args.backbone},
        "training": {"batch_size": args.batch_size},
    }
    spec = TrialSpec.read(settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as cache:
        session = TrainingSession.from_spec(spec, Path(cache), device)
        batches = session.image_batches(WorkerGroup())
        shape = (args.batch_size, 2, args.image_px, args.image_px, 3)
        images = torch.randn(shape, device=device).permute(0, 1, 4, 2, 3)  # in memory as the cache has them
        targets = (torch.rand(args.batch_size, 8, device=device) < 0.2).float()
        for _ in range(args.repeats + 1):
            ours.append(our_loop(session, batches))
            bare.append(bare_loop(session.net, session.loss, images, targets, len(batches)))
    ours, bare = ours[1:], bare[1:]  # the first round warms up
    ratios = [o / b for o, b in zip(ours, bare, strict=True)]
    where = f"{device.type} x {torch.get_num_threads()}"
    print(f"{args.backbone} at {args.image_px} px, batch {args.batch_size}, {where}, {args.repeats} repeats")
    print(f"training loop {statistics.median(ours):8.1f} pairs/s  ({min(ours):.1f} to {max(ours):.1f})")
    print(f"bare loop     {statistics.median(bare):8.1f} pairs/s  ({min(bare):.1f} to {max(bare):.1f})")
    print(f"ratio         {statistics.median(ratios):8.3f}          ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
