"""Pairs per second of the training loop beside those of a bare torch loop on the same network.

    uv run python benchmarks/training_loop.py [--backbone resnet18 ...] [--image-px 128] [--batch-size 16]
                                              [--repeats 5] [--patients 160] [--compile]

The training loop reads drawn images from the cache, augments them, clips the gradients and steps. The bare
loop only does forward, loss, backward and step, on one random batch, in the same precision. Both run in turn
in one process, and their medians are compared. It also says which share of the machine's own matrix products
the training loop does, counting three times the operations of a forward pass, and the memory on a GPU.

A GPU's figures, with enough patients for its speed:

    uv run python benchmarks/training_loop.py --backbone resnet50 resnet152 --image-px 224 --batch-size 64
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from study.data.batches import Batches
from study.engine.training.compiling import Compiled
from study.engine.training.cost import multiply_adds
from study.engine.training.fit import fit, tf32_products, use_bfloat16
from study.engine.training.session import TrainingSession
from study.engine.training.workers import WorkerGroup
from study.spec.trial_spec import TrialSpec

PRODUCTS = 20  # that the rate of matrix products is taken from, after as many to warm up


def bare_loop(
    net: nn.Module, loss: nn.Module, images: Tensor, targets: Tensor, steps: int, *, bfloat16: bool
) -> float:
    """Pairs per second of a loop in plain torch."""
    on_gpu = images.is_cuda
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=on_gpu, foreach=not on_gpu)
    net.train()
    began = time.perf_counter()
    for _ in range(steps):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            output = net(images)
        step_loss = loss(output.float(), targets, targets[:, None])
        optimiser.zero_grad(set_to_none=True)
        step_loss.backward()
        optimiser.step()
    _wait_for(images.device)
    return steps * len(images) / (time.perf_counter() - began)


def our_loop(session: TrainingSession, net: nn.Module, batches: Batches) -> float:
    """Pairs per second of the project's training loop, in one epoch without validation."""
    spec = session.spec
    epochs = fit(
        net, session.loss, batches, lambda net: (0.0, 0.0), spec.optimiser, spec.training, session.device
    )
    return next(epochs).pairs_per_second


def matrix_rate(device: torch.device, *, bfloat16: bool) -> float:
    """Multiplications with an addition per second in products of large matrices."""
    side = 8192 if device.type == "cuda" else 1024
    x = torch.randn(side, side, device=device, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    seconds = 0.0
    with tf32_products():
        for _ in range(2):
            _wait_for(device)
            began = time.perf_counter()
            for _ in range(PRODUCTS):
                x @ x
            _wait_for(device)
            seconds = time.perf_counter() - began
    return PRODUCTS * side**3 / seconds


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(backbone: str, args: argparse.Namespace, cache: Path, device: torch.device) -> None:
    """Runs both loops in turn and prints what they did."""
    px, batch_size = args.image_px, args.batch_size
    settings = {
        "data": {"dataset": "odir5k", "phantom_patients": args.patients, "image_px": px},
        "model": {"backbone": backbone},
        "training": {"batch_size": batch_size},
    }
    session = TrainingSession.from_spec(TrialSpec.read(settings), cache, device)
    bfloat16 = use_bfloat16(session.spec.training.precision, device)
    net = Compiled(session.net) if args.compile else session.net
    batches = session.image_batches(WorkerGroup())
    shape = (batch_size, 2, px, px, 3)
    images = torch.randn(shape, device=device).permute(0, 1, 4, 2, 3)  # in memory as the cache has them
    targets = (torch.rand(batch_size, 8, device=device) < 0.2).float()
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(args.repeats + 1):
        ours.append(our_loop(session, net, batches))
        bare.append(bare_loop(net, session.loss, images, targets, len(batches), bfloat16=bfloat16))
    ours, bare = ours[1:], bare[1:]  # the first round warms up
    ratios = [o / b for o, b in zip(ours, bare, strict=True)]
    operations = 3 * multiply_adds(session.net, 2, px) * statistics.median(ours)
    share = operations / matrix_rate(device, bfloat16=bfloat16)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x {torch.get_num_threads()}"
    precision = "bfloat16" if bfloat16 else "float32"
    print(f"{backbone} at {px} px, batch {batch_size}, {kind}, {precision}, {args.repeats} repeats")
    print(f"training loop {statistics.median(ours):8.1f} pairs/s  ({min(ours):.1f} to {max(ours):.1f})")
    print(f"bare loop     {statistics.median(bare):8.1f} pairs/s  ({min(bare):.1f} to {max(bare):.1f})")
    print(f"ratio         {statistics.median(ratios):8.3f}          ({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"images        {2 * statistics.median(ours):8.1f} images/s")
    print(f"share         {share:8.1%} of the rate of matrix products")
    if device.type == "cuda":
        print(f"memory        {torch.cuda.max_memory_reserved(device) / 2**30:8.2f} GiB")


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--backbone", nargs="+", default=["resnet18"])
    cli.add_argument("--image-px", type=int, default=128)
    cli.add_argument("--batch-size", type=int, default=16)
    cli.add_argument("--repeats", type=int, default=5)
    cli.add_argument("--patients", type=int, default=160)
    cli.add_argument("--compile", action="store_true")
    args = cli.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as cache:
        for backbone in args.backbone:
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            measure(backbone, args, Path(cache), device)


if __name__ == "__main__":
    main()
