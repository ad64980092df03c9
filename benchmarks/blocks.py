"""What every backbone and every block costs: parameters, multiply-adds, time and memory of one training step, in one run.

    uv run python benchmarks/blocks.py [--image-px 224] [--pairs 2] [--block-pairs 8] [--repeats 3] [--threads 1] [--out FILE]

Backbones are those of the study files, on both images of each pair. Blocks stand on the map of ResNet-50 at that size. Each
row is measured alone: medians of forward and of forward with backward (on a CPU of processor time, which other work does not
lengthen), and the most memory that a step holds at once on top of parameters and inputs. `explained` is the time that its
multiply-adds and the bytes that its operations write would take at the rates of one large matrix product and of one copy on
the same machine; `times` is measured over explained.
"""

import argparse
import gc
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from models.backbones import build_backbone
from study.spec import components
from study.spec.errors import StudyError
from study.spec.resolve import resolve

SPACES = Path("search_spaces")
MAP = {"channels": 2048, "stride": 32}  # the last map of ResNet-50
LABELS = 8
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "attention": [{"name": "mirror", "norm": "rows"}, {"name": "mirror", "flips": "image"}],
    "context": [{"name": "osim", "scale_mode": "window"}],
    "pooling": [],
    "fusion": [
        *({"name": name, "level": "feature_map"} for name in ("concat", "difference", "gated", "max")),
        {"name": "casfm", "cross_mode": "standard"},
        {"name": "dual_synergy", "cafm": "mhca"},
        {"name": "dual_synergy", "cafm": "none", "casfm": False},
    ],
    "head": [],
}


class Written(TorchDispatchMode):
    """Sums the bytes of what operations write anew; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.num_bytes += sum(
                t.nbytes for t in (out if isinstance(out, tuple | list) else [out]) if isinstance(t, Tensor)
            )
        return out


@dataclass(frozen=True)
class Rates:
    """What the machine does at its best: multiply-adds and bytes written in a millisecond."""

    macs: float
    num_bytes: float


@dataclass(frozen=True)
class Row:
    """One line of the table; times in ms, memory in MiB."""

    kind: str
    name: str
    parameters: int
    macs: float
    forward: float
    step: float
    memory: float
    explained: float

    def cells(self) -> list[str]:
        """As they stand in the table."""
        times = self.step / self.explained
        return [
            self.kind, self.name, f"{self.parameters / 1e6:.2f}", f"{self.macs / 1e9:.3f}", f"{self.forward:.1f}",
            f"{self.step:.1f}", f"{self.memory:.0f}", f"{self.explained:.1f}", f"{times:.1f}",
        ]  # fmt: skip


HEADER = [
    "kind", "name", "parameters (M)", "multiply-adds, forward (G)", "forward (ms)", "forward and backward (ms)",
    "peak memory (MiB)", "explained (ms)", "times",
]  # fmt: skip


NOTES = [
    "Times are medians of one training step's parts; on a CPU they are processor time, so that other work does not lengthen them.",
    "`explained` is what the multiply-adds and the bytes written would take at the rates of a large matrix product and of a copy;",
    "`times` is measured over explained. Below a millisecond it shows the fixed cost of a call.",
]


def first(y: Any) -> Tensor:
    """The tensor of an output."""
    return y[0] if isinstance(y, tuple) else y  # type: ignore[no-any-return]


def clear(module: nn.Module, inputs: list[Tensor]) -> None:
    """Drops all gradients."""
    module.zero_grad(set_to_none=True)
    for x in inputs:
        x.grad = None


def step(module: nn.Module, inputs: list[Tensor]) -> None:
    """Forward and backward once."""
    clear(module, inputs)
    y = first(module(*inputs))
    if y.requires_grad:
        y.sum().backward()


def timed(act: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median in ms, after one round that warms up: of the clock with a GPU, else of the processor, whatever else it does."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    found = []
    for _ in range(repeats + 1):
        began = clock()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(1e3 * (clock() - began))
    return statistics.median(found[1:])


def peak(act: Callable[[], object], device: torch.device) -> float:
    """The most that the call holds at once, in MiB, beside what was there before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        act()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.autograd.profiler.profile(use_cpu=True, profile_memory=True) as profile:
        act()
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def measure(kind: str, name: str, module: nn.Module, inputs: list[Tensor], repeats: int, rates: Rates) -> Row:
    """One row, on the device of the inputs."""
    device = inputs[0].device
    module = module.to(device).to(memory_format=torch.channels_last).train()
    with FlopCounterMode(display=False) as forward_flops:
        module(*inputs)
    with FlopCounterMode(display=False) as flops, Written() as written:
        step(module, inputs)
    clear(module, inputs)
    memory = peak(lambda: step(module, inputs), device)
    explained = flops.get_total_flops() / 2 / rates.macs + written.num_bytes / rates.num_bytes
    row = Row(
        kind,
        name,
        sum(p.numel() for p in module.parameters()),
        forward_flops.get_total_flops() / 2,
        timed(lambda: module(*inputs), repeats, device),
        timed(lambda: step(module, inputs), repeats, device),
        memory,
        explained,
    )
    gc.collect()
    return row


def rates_of(device: torch.device) -> Rates:
    """Of a matrix product of 2048 rows and of a copy of 64 MiB."""
    a, b = torch.randn(2, 2048, 2048, device=device)
    big = torch.randn(2**24, device=device)
    macs = 2048**3 / timed(lambda: a @ b, 5, device)
    return Rates(macs, big.nbytes / timed(big.clone, 5, device))


def backbones() -> list[str]:
    """Names of all backbones that a study file can take."""
    names = {"tiny"}
    for path in sorted(SPACES.glob("*.yaml")):
        try:
            spec = resolve(path, {}, "full", True).spec
        except StudyError as error:
            print(f"left out: {path} ({str(error).splitlines()[0]})", file=sys.stderr)
            continue
        trials = [
            *spec.corners(),
            *(spec.variant(table, name, 0, {}) for table, a in spec.ablations.items() for name in a.variants),
        ]
        names |= {trial.model.backbone.name for trial in trials}
    return sorted(names)


def blocks(
    image_px: int, num_pairs: int, device: torch.device
) -> Iterator[tuple[str, str, nn.Module, list[Tensor]]]:
    """Every block with its defaults and the variants above, and its inputs."""
    channels, side = MAP["channels"], max(1, image_px // MAP["stride"])
    for kind, variants in VARIANTS.items():
        for spec in [*({"name": name} for name in components.names(kind)), *variants]:
            component = components.parse(kind, spec, kind)
            sets = (
                (torch.eye(LABELS),)
                if getattr(components.load(kind, component.name), "wants_label_sets", False)
                else ()
            )
            wired = {"fusion": (channels, 2), "head": (channels, LABELS, *sets)}.get(kind, (channels,))
            module: nn.Module = components.build(kind, component, *wired)
            maps = torch.randn(num_pairs, 2, channels, side, side, device=device)
            flat = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            paired = kind == "fusion" or getattr(module, "binocular", False)
            inputs = [maps[:, 0, :, 0, 0].contiguous()] if kind == "head" else [maps if paired else flat]
            inputs *= 3 if getattr(module, "image_flips", False) else 1
            yield kind, str(component), module, [x.detach().requires_grad_() for x in inputs]


def rows(
    image_px: int, num_pairs: int, block_pairs: int, repeats: int, device: torch.device
) -> Iterator[Row]:
    """The whole table for one device."""
    rates = rates_of(device)
    images = torch.randn(2 * num_pairs, 3, image_px, image_px, device=device).contiguous(
        memory_format=torch.channels_last
    )
    for name in backbones():
        yield measure("backbone", name, build_backbone(name, image_px=image_px), [images], repeats, rates)
    for kind, name, module, inputs in blocks(image_px, block_pairs, device):
        yield measure(kind, name, module, inputs, repeats, rates)


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--image-px", type=int, default=224)
    cli.add_argument(
        "--pairs", type=int, default=2, help="pairs in a batch of the backbones, each of two images"
    )
    cli.add_argument("--block-pairs", type=int, default=8, help="pairs in a batch of the blocks")
    cli.add_argument("--repeats", type=int, default=3)
    cli.add_argument("--threads", type=int, default=1)
    cli.add_argument("--out", type=Path, default=Path("benchmarks/results/blocks.md"))
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    lines = [
        "# Cost of backbones and blocks",
        "",
        f"    python benchmarks/blocks.py {shlex.join(sys.argv[1:])}".rstrip(),
        "",
        *NOTES,
        "",
    ]
    for device in [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]:
        machine = (
            torch.cuda.get_device_name()
            if device.type == "cuda"
            else f"{platform.machine()} CPU, {args.threads} thread(s)"
        )
        what = f"{args.image_px} px, float32; backbones on {args.pairs} pairs, blocks on the maps of {args.block_pairs}"
        lines += [f"{machine}; torch {torch.__version__}; {what}.", ""]
        lines += [f"| {' | '.join(HEADER)} |", f"|{'---|' * 2}{'---:|' * (len(HEADER) - 2)}"]
        for row in rows(args.image_px, args.pairs, args.block_pairs, args.repeats, device):
            lines.append(f"| {' | '.join(row.cells())} |")
            print(lines[-1], flush=True)
        lines.append("")
    args.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
