"""Compiles every component without a graph break.

It is a script, because the shape checks of the tests cannot be traced. It prints one line for each component:
`ok`, or the first line of the error."""

import sys

import torch
from torch import Tensor, nn

from models.attentions.cbam import Cbam
from models.attentions.mirror import Mirror
from models.attentions.none import NoAttention
from models.backbones import build_backbone
from models.contexts.none import NoContext
from models.contexts.osim import Osim
from models.contracts import Contract, Fusion, Head, Loss, MapBlock
from models.fusions.concat import Concat
from models.fusions.difference import Difference
from models.fusions.late import Late
from models.heads.multi_label import MultiLabel
from models.heads.powerset import Powerset
from models.output import Output
from models.poolings.gem import Gem
from models.siamese import SiameseNet
from study.spec import components
from tests.models.parts import Spec, build, label_sets_for, specs_of

CHANNELS, LABELS = 8, 4
LABEL_SETS = torch.eye(LABELS)
LEVELS: list[Spec] = [
    {"name": name, "level": "feature_map"} for name in ("concat", "difference", "gated", "max")
]
VARIANTS: dict[str, list[Spec]] = {
    "attention": [{"name": "mirror", "norm": "rows"}, {"name": "mirror", "flips": "image"}],
    "context": [{"name": "osim", "scale_mode": "window"}, {"name": "mirror", "flips": "image"}],
    "pooling": [],
    "fusion": [
        *LEVELS,
        {"name": "late", "rule": "noisy_or"},
        {"name": "casfm", "cross_mode": "standard", "dim": 16, "share_eyes": True, "combine": "sum"},
        {"name": "dual_synergy", "cafm": "mhca", "discrepancy": "signed", "similarity": "cosine", "dim": 16},
        {"name": "dual_synergy", "cafm": "none", "discrepancy": "cosine", "combine": "max", "dim": 16},
    ],
    "head": [],
}
BACKBONES = [
    "tiny", "resnet18", "alexnet", "vgg11", "squeezenet1_1", "mobilenet_v2", "resnext50_32x4d", "swin_t",
    "vit_b_32", "timm/resnet10t", "convnext_atto", "tf_efficientnet_b0", "vit_tiny_patch16_224",
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


def fresh(kind: str, spec: Spec) -> Contract:
    if kind == "fusion":
        return build(kind, spec, CHANNELS, 2)
    if kind == "head":
        return build(kind, spec, CHANNELS, LABELS, *label_sets_for(spec["name"], LABEL_SETS))
    return build(kind, spec, CHANNELS)


def inputs(module: Contract) -> list[Tensor]:
    if isinstance(module, Head):
        return [torch.randn(4, CHANNELS)]
    pair = torch.randn(4, 2, CHANNELS, 5, 6)
    if isinstance(module, Fusion) or (isinstance(module, MapBlock) and module.binocular):
        return [pair]
    return [pair[:, 0]] * (3 if isinstance(module, MapBlock) and module.image_flips else 1)


def check_blocks() -> list[bool]:
    results = []
    for kind, variants in VARIANTS.items():
        for spec in specs_of(kind, variants):
            module = fresh(kind, spec)
            results.append(check(f"{kind} {spec}", module, *inputs(module)))
    return results


def check_networks() -> list[bool]:
    results = []
    for name in BACKBONES:
        backbone = build_backbone(name, image_px=64)
        channels = backbone.out_channels
        net = SiameseNet(
            backbone,
            Osim(channels),
            Mirror(channels // 2, flips="image"),
            Difference(channels // 2, 2),
            MultiLabel(16, LABELS),
            embedding_dim=16,
            l2norm=True,
        )
        results.append(check(f"network {name}", net, torch.randn(2, 2, 3, 64, 64)))
    images = torch.randn(2, 2, 3, 32, 32)
    results.append(check("network with a head for each eye", per_eye(Concat), images))
    results.append(check("network that joins logits", per_eye(Late), images))
    return results


def per_eye(fusion: type[Concat | Late]) -> SiameseNet:
    """Both kinds of networks that give logits of each eye; the attention stands inside the backbone."""
    backbone = build_backbone("tiny", image_px=32).attend(Cbam, "every_stage")
    channels = backbone.out_channels
    fused = fusion(channels, 2)
    return SiameseNet(
        backbone,
        NoContext(channels),
        NoAttention(channels),
        fused,
        Powerset(fused.out_features, LABELS, LABEL_SETS),
        pooling=Gem(channels),
        view_head=Powerset(channels, LABELS, LABEL_SETS),
    )


class Cost(nn.Module):
    """A loss as a function of the embedding alone."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, fused: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.loss(Output(fused[:, :LABELS], fused, fused[:, None]), targets)
        return value


def check_losses() -> list[bool]:
    targets = torch.eye(LABELS).repeat(2, 1)
    fused = torch.randn(8, CHANNELS).requires_grad_()
    prevalence = torch.full((LABELS,), 0.25)
    results = []
    for name in components.names("loss"):
        loss = build("loss", {"name": name}, prevalence)
        assert isinstance(loss, Loss)
        results.append(check(f"loss {name}", Cost(loss), fused, targets))
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.exit(0 if all([*check_blocks(), *check_networks(), *check_losses()]) else 1)
