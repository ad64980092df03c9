"""Compiles every component without a graph break; run as a script, because the shape checks of the tests cannot be traced.

Prints one line per component, `ok` or the first line of what went wrong.
"""

import sys

import torch
from torch import Tensor, nn

from models.backbones import build_backbone
from models.siamese import Output, SiameseNet
from study.spec import components

CHANNELS, LABELS = 8, 4
VARIANTS = {
    "attention": [{"name": "mirror", "norm": "rows"}, {"name": "mirror", "flips": "image"}],
    "context": [{"name": "osim", "scale_mode": "window"}, {"name": "mirror", "flips": "image"}],
    "pooling": [],
    "fusion": [
        *({"name": name, "level": "feature_map"} for name in ("concat", "difference", "gated", "max")),
        {"name": "late", "rule": "noisy_or"},
        {"name": "casfm", "cross_mode": "standard", "dim": 16, "share_eyes": True, "combine": "sum"},
        {"name": "dual_synergy", "cafm": "mhca", "discrepancy": "signed", "similarity": "cosine", "dim": 16},
        {"name": "dual_synergy", "cafm": "none", "discrepancy": "cosine", "combine": "max", "dim": 16},
    ],
    "head": [],
}
BACKBONES = [
    "tiny", "resnet18", "alexnet", "vgg11", "squeezenet1_1", "mobilenet_v2", "resnext50_32x4d", "swin_t", "vit_b_32",
    "timm/resnet10t", "convnext_atto", "tf_efficientnet_b0", "vit_tiny_patch16_224",
]  # fmt: skip


def check(what: str, module: nn.Module, *inputs: Tensor) -> bool:
    """One training step in bfloat16 autocast through the compiled module."""
    torch.compiler.reset()
    # the default backend's decompositions without its C++ compiler, which would take minutes
    compiled = torch.compile(module.train(), backend="aot_eager_decomp_partition", fullgraph=True)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            y = first(compiled(*inputs))
        if y.requires_grad:
            y.float().pow(2).sum().backward()
        assert y.isfinite().all(), "not finite"
    except Exception as error:
        print(what, type(error).__name__, str(error).strip().splitlines()[0])
        return False
    print(what, "ok")
    return True


def first(y: object) -> Tensor:
    """The logits of an output, or the tensor itself."""
    tensor = y.logits if isinstance(y, Output) else y
    assert isinstance(tensor, Tensor)
    return tensor


def build(kind: str, spec: dict[str, object], *wired: object) -> nn.Module:
    module: nn.Module = components.build(kind, components.parse(kind, spec, kind), *wired)
    return module


def check_blocks() -> list[bool]:
    results = []
    for kind, variants in VARIANTS.items():
        for spec in [*({"name": name} for name in components.names(kind)), *variants]:
            sets = (torch.eye(LABELS),) if spec["name"] == "powerset" else ()
            wired = {"fusion": (CHANNELS, 2), "head": (CHANNELS, LABELS, *sets)}.get(kind, (CHANNELS,))
            module = build(kind, spec, *wired)
            x = torch.randn(4, 2, CHANNELS, 5, 6)
            paired = kind == "fusion" or getattr(module, "binocular", False)
            inputs = [torch.randn(4, CHANNELS)] if kind == "head" else [x if paired else x[:, 0]]
            inputs *= 3 if getattr(module, "image_flips", False) else 1
            results.append(check(f"{kind} {spec}", module, *inputs))
    return results


def check_networks() -> list[bool]:
    results = []
    for name in BACKBONES:
        backbone = build_backbone(name, image_px=64)
        channels = backbone.out_channels
        blocks = (
            build("context", {"name": "osim"}, channels),
            build("attention", {"name": "mirror", "flips": "image"}, channels // 2),
        )
        fusion = build("fusion", {"name": "difference"}, channels // 2, 2)
        net = SiameseNet(
            backbone,
            *blocks,
            fusion,
            build("head", {"name": "multi_label"}, 16, LABELS),
            embedding_dim=16,
            l2norm=True,
        )
        results.append(check(f"network {name}", net, torch.randn(2, 2, 3, 64, 64)))
    results.append(check("network with a head for each eye", per_eye("concat"), torch.randn(2, 2, 3, 32, 32)))
    results.append(check("network that joins logits", per_eye("late"), torch.randn(2, 2, 3, 32, 32)))
    return results


def per_eye(fusion: str) -> SiameseNet:
    """Both kinds of networks that give logits of each eye; the attention stands inside the backbone."""
    backbone = build_backbone("tiny", image_px=32).attend(
        lambda c: build("attention", {"name": "cbam"}, c), "every_stage"
    )
    channels = backbone.out_channels
    fused = build("fusion", {"name": fusion}, channels, 2)
    sets = torch.eye(LABELS)
    heads = [
        build("head", {"name": "powerset"}, width, LABELS, sets) for width in (fused.out_features, channels)
    ]
    return SiameseNet(
        backbone, build("context", {"name": "none"}, channels), build("attention", {"name": "none"}, channels), fused, heads[0],
        pooling=build("pooling", {"name": "gem"}, channels), view_head=heads[1],
    )  # fmt: skip


class Cost(nn.Module):
    """A loss as a function of the embedding alone."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, fused: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.loss(Output(fused[:, :LABELS], fused, fused[:, None]), targets)
        return value


def check_losses() -> list[bool]:
    targets = torch.eye(LABELS).repeat(2, 1)
    fused = torch.randn(8, CHANNELS).requires_grad_()
    prevalence = torch.full((LABELS,), 0.25)
    return [
        check(f"loss {name}", Cost(build("loss", {"name": name}, prevalence)), fused, targets)
        for name in components.names("loss")
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.exit(0 if all([*check_blocks(), *check_networks(), *check_losses()]) else 1)
