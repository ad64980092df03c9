"""Cost of every backbone and every block: parameters, multiply-adds, time and memory of one training step.

    uv run python benchmarks/blocks.py [--image-px 224] [--pairs 2] [--block-pairs 8] [--repeats 3]
                                       [--threads 1] [--out FILE]

The backbones are those of the study files; each gets both images of every pair. The blocks get maps of the
size that ResNet-50 makes of such images. Every row is measured alone. Times are medians of the forward pass,
and of forward and backward together; on a CPU they are processor time, which other work hardly lengthens.
Memory is the most that a step holds at once, without parameters and inputs. `explained` is the time that the
step's multiply-adds and the bytes that it writes would take at the rates of one large matrix product and of
one copy on the same machine; `times` is measured over explained.
"""

import argparse
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from block_cost import Row, measure, rates_of  # a script finds the file beside it
from torch import Tensor, nn

from models.backbones import build_backbone
from models.contracts import Fusion, Head, MapBlock
from study.spec import components
from study.spec.errors import StudyError
from study.spec.resolve import resolve

SPACES = Path("search_spaces")
CHANNELS, STRIDE = 2048, 32  # of the last map of ResNet-50
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
HEADER = (
    "kind",
    "name",
    "parameters (M)",
    "multiply-adds, forward (G)",
    "forward (ms)",
    "forward and backward (ms)",
    "peak memory (MiB)",
    "explained (ms)",
    "times",
)
NOTES = (
    "Times are medians over the repeats; on a CPU they are processor time, which other work hardly",
    "lengthens.",
    "`explained` is the time that the multiply-adds and the bytes written would take at the rates of a",
    "large matrix product and of a copy; `times` is measured over explained. Below a millisecond it shows",
    "the fixed cost of a call.",
)


def backbones() -> list[str]:
    """Names of all backbones that a study file can take."""
    names = {"tiny"}
    for path in sorted(SPACES.glob("*.yaml")):
        try:
            spec = resolve(path, {}, "full", has_gpu=True).spec
        except StudyError as error:
            print(f"left out: {path} ({str(error).splitlines()[0]})", file=sys.stderr)
            continue
        names |= {trial.model.backbone.name for trial in spec.trials_to_check()}
    return sorted(names)


def build_block(kind: str, component: components.Component) -> nn.Module:
    """Builds a block for maps of `CHANNELS` channels, two views and `LABELS` labels."""
    cls = components.load(kind, component.name)
    wired: list[Any] = [CHANNELS]
    if issubclass(cls, Fusion):
        wired.append(2)
    if issubclass(cls, Head):
        wired.append(LABELS)
        if cls.wants_label_sets:
            wired.append(torch.eye(LABELS))
    module: nn.Module = components.build(kind, component, *wired)
    return module


def inputs_of(module: nn.Module, maps: Tensor) -> list[Tensor]:
    """What a block gets of random maps "b v c h w": vectors, maps of pairs, or maps of single images."""
    flat = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    num_maps = 1
    if isinstance(module, Head):
        x = maps[:, 0, :, 0, 0].contiguous()
    elif isinstance(module, Fusion):
        x = maps
    elif isinstance(module, MapBlock):
        x = maps if module.binocular else flat
        num_maps = 3 if module.image_flips else 1
    else:
        x = flat
    return [x.detach().requires_grad_() for _ in range(num_maps)]


def blocks(
    image_px: int, num_pairs: int, device: torch.device
) -> Iterator[tuple[str, str, nn.Module, list[Tensor]]]:
    """Kind, name, module and inputs of every block with its defaults, and of the variants above."""
    side = max(1, image_px // STRIDE)
    for kind, variants in VARIANTS.items():
        for spec in [*({"name": name} for name in components.names(kind)), *variants]:
            component = components.parse(kind, spec, kind)
            module = build_block(kind, component)
            maps = torch.randn(num_pairs, 2, CHANNELS, side, side, device=device)
            yield kind, str(component), module, inputs_of(module, maps)


def rows(
    image_px: int, num_pairs: int, block_pairs: int, repeats: int, device: torch.device
) -> Iterator[Row]:
    """Measures the whole table on one device."""
    rates = rates_of(device)
    images = torch.randn(2 * num_pairs, 3, image_px, image_px, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    for name in backbones():
        yield measure("backbone", name, build_backbone(name, image_px=image_px), [images], repeats, rates)
    for kind, name, module, inputs in blocks(image_px, block_pairs, device):
        yield measure(kind, name, module, inputs, repeats, rates)


def machine(device: torch.device, threads: int) -> str:
    """What the device is called in the results."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {threads} thread(s)"


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--image-px", type=int, default=224)
    cli.add_argument("--pairs", type=int, default=2, help="pairs of images in a batch of the backbones")
    cli.add_argument("--block-pairs", type=int, default=8, help="pairs in a batch of the blocks")
    cli.add_argument("--repeats", type=int, default=3)
    cli.add_argument("--threads", type=int, default=1)
    cli.add_argument("--out", type=Path, default=Path("benchmarks/results/blocks.md"))
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    command = f"    python benchmarks/blocks.py {shlex.join(sys.argv[1:])}".rstrip()
    lines = ["# Cost of backbones and blocks", "", command, "", *NOTES, ""]
    sizes = f"backbones on {args.pairs} pairs, blocks on the maps of {args.block_pairs}"
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in map(torch.device, devices):
        what = f"torch {torch.__version__}; {args.image_px} px, float32; {sizes}"
        lines += [f"{machine(device, args.threads)}; {what}.", ""]
        lines += [f"| {' | '.join(HEADER)} |", f"|{'---|' * 2}{'---:|' * (len(HEADER) - 2)}"]
        for row in rows(args.image_px, args.pairs, args.block_pairs, args.repeats, device):
            lines.append(f"| {' | '.join(row.cells())} |")
            print(lines[-1], flush=True)
        lines.append("")
    args.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
