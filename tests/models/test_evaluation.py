"""Networks in evaluation mode: other samples of a batch, small maps, single pairs and exchanged eyes."""

import pytest
import torch
from torch import Tensor, nn

from models.attentions.none import NoAttention
from models.backbones import build_backbone
from models.contexts.none import NoContext
from models.contracts import Backbone, Fusion
from models.heads.multi_label import MultiLabel
from models.siamese import SiameseNet
from tests.models.parts import Module, Spec, build, label

torch.set_num_threads(1)
QUICK = [
    "tiny",
    "resnet18",
    "squeezenet1_1",
    "mobilenet_v2",
    "shufflenet_v2_x0_5",
    "timm/resnet10t",
    "vit_tiny_patch16_224",
]
SLOW = [
    "alexnet", "vgg11", "resnext50_32x4d", "densenet121", "efficientnet_b0", "googlenet", "swin_t",
    "vit_b_32", "convnext_tiny", "regnet_x_400mf", "convnext_atto", "tf_efficientnet_b0",
    "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3",
]  # fmt: skip
BACKBONES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
SYMMETRIC: list[Spec] = [
    {"name": "difference", "level": "pooled"},
    {"name": "difference", "level": "feature_map"},
    {"name": "gated", "level": "pooled"},
    {"name": "gated", "level": "feature_map"},
    {"name": "max", "level": "pooled"},
    {"name": "max", "level": "feature_map"},
    {"name": "bilinear", "level": "pooled"},
    {"name": "bilinear", "level": "feature_map"},
    {"name": "late", "rule": "max"},
    {"name": "late", "rule": "mean"},
    {"name": "late", "rule": "noisy_or"},
    {"name": "sum"},
    {"name": "cross_attention", "combine": "sum", "dim": 32},
    {"name": "dual_synergy", "casfm": False, "combine": "sum", "dim": 32},
    {"name": "dual_synergy", "casfm": False, "combine": "max", "dim": 32},
    {"name": "dual_synergy", "casfm": False, "cafm": "mhca", "combine": "sum", "dim": 32},
    {"name": "dual_synergy", "casfm": False, "cafm": "none", "combine": "sum", "dim": 32},
]
ORDERED: list[Spec] = [
    {"name": "concat"},
    {"name": "ffm"},
    {"name": "casfm", "dim": 32},
    {"name": "dual_synergy", "dim": 32},
]


def settled(net: Module, x: Tensor) -> Module:
    """The network in evaluation mode, with the statistics of the batch as its running statistics."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()
    with torch.no_grad():
        for _ in range(2):
            net(x)
    return net.eval()


def network(backbone: Backbone, fusion: Spec) -> SiameseNet:
    torch.manual_seed(0)
    channels = backbone.out_channels
    fused = build("fusion", fusion, channels, 2)
    assert isinstance(fused, Fusion)
    return SiameseNet(
        backbone, NoContext(channels), NoAttention(channels), fused, MultiLabel(fused.out_features, 3)
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_an_image_gives_the_same_map_alone_and_in_a_batch(name: str) -> None:
    torch.manual_seed(0)
    px = 56 if "patch14" in name else 64
    x = torch.randn(4, 3, px, px)
    backbone = settled(build_backbone(name, image_px=px), x)
    with torch.no_grad():
        whole, alone, among_others = backbone(x), backbone(x[2:3]), backbone(torch.cat([x[2:3], 9 * x[:1]]))
    scale = float(whole.abs().max())
    for single in (alone[0], among_others[0]):
        torch.testing.assert_close(single, whole[2], rtol=1e-3, atol=1e-4 * scale)
    assert not torch.allclose(whole[1], whole[2], rtol=1e-2, atol=1e-2 * scale)


@pytest.mark.parametrize(
    ("name", "px"), [("tiny", 17), ("resnet18", 33), ("squeezenet1_1", 35), ("timm/resnet10t", 40)]
)
def test_a_convolutional_backbone_takes_images_of_any_size(name: str, px: int) -> None:
    backbone = build_backbone(name, image_px=px).eval()
    with torch.no_grad():
        y = backbone(torch.randn(2, 3, px, px + 10))
    assert y.shape[:2] == (2, backbone.out_channels)
    assert min(y.shape[2:]) >= 1
    assert y.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one_pair(training: bool) -> None:
    net = network(build_backbone("tiny", image_px=32), {"name": "concat"}).train(training)
    output = net(torch.randn(1, 2, 3, 32, 32))
    assert output.logits.shape == (1, 3)
    output.logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_images_of_one_channel_are_refused_with_the_remedy() -> None:
    net = network(build_backbone("tiny", image_px=32), {"name": "concat"}).eval()
    grey = torch.randn(2, 2, 1, 32, 32)
    with pytest.raises(
        ValueError, match=r"`images`: must have 3 channels, got 1\. Repeat a grey one three times"
    ):
        net(grey)
    assert net(grey.expand(-1, -1, 3, -1, -1)).logits.isfinite().all()


def mirror_blind(fusion: Spec, x: Tensor) -> SiameseNet:
    """A network with mirrored maps for mirrored images: its kernels are symmetric, the image size is odd."""
    net = network(build_backbone("tiny", image_px=33), fusion)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight + module.weight.flip(3))
    settled(net, x)
    eye = x[:, 0]
    torch.testing.assert_close(net.backbone(eye.flip(3)), net.backbone(eye).flip(3), rtol=1e-3, atol=1e-4)
    return net


@pytest.mark.parametrize("fusion", SYMMETRIC, ids=label)
def test_exchanged_and_mirrored_eyes_change_nothing_for_a_symmetric_fusion(fusion: Spec) -> None:
    x = torch.randn(4, 2, 3, 33, 33, generator=torch.Generator().manual_seed(1))
    net = mirror_blind(fusion, x)
    assert net.fusion.symmetric
    with torch.no_grad():
        before, after = net(x), net(x.flip(1).flip(-1))
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after.fused, before.fused, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fusion", ORDERED, ids=label)
def test_exchanged_and_mirrored_eyes_change_the_others(fusion: Spec) -> None:
    x = torch.randn(4, 2, 3, 33, 33, generator=torch.Generator().manual_seed(1))
    net = mirror_blind(fusion, x)
    assert not net.fusion.symmetric
    with torch.no_grad():
        before, after = net(x).fused, net(x.flip(1).flip(-1)).fused
    assert (after - before).norm() > 0.1 * (before - before.mean(0)).norm()
