"""Backbones give the maps of the networks they are made from, freeze, and take attentions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer, get_model
from torchvision.models.resnet import BasicBlock

from models.attentions.mirror_binocular import MirrorBinocular
from models.attentions.se import SqueezeExcitation
from models.attentions.spatial import Spatial
from models.backbones import StagedBackbone, build_backbone
from models.contracts import Attention

torch.set_num_threads(1)
X = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def pooled_head(net: nn.Module, y: Tensor) -> Tensor:
    children = dict(net.named_children())
    (head,) = (children[name] for name in ("fc", "head", "classifier") if name in children)
    logits: Tensor = head(y.mean((2, 3)))
    return logits


Rest = Callable[[Any, Tensor], Tensor]
"""What follows the last map of a torchvision network: from the network and the map to its logits."""

TORCHVISION: dict[str, Rest] = {
    "resnet18": pooled_head,
    "mobilenet_v2": pooled_head,
    "shufflenet_v2_x0_5": pooled_head,
    "densenet121": pooled_head,
    "regnet_x_400mf": pooled_head,
    "mnasnet0_5": pooled_head,
    "squeezenet1_1": lambda net, y: net.classifier(y).flatten(1),
    "alexnet": lambda net, y: net.classifier(net.avgpool(net.features[-1](y)).flatten(1)),
}
SLOW: dict[str, Rest] = {
    "resnext50_32x4d": pooled_head,
    "wide_resnet50_2": pooled_head,
    "efficientnet_b0": pooled_head,
    "efficientnet_v2_s": pooled_head,
    "mobilenet_v3_small": pooled_head,
    "googlenet": pooled_head,
    "inception_v3": pooled_head,
    "swin_t": pooled_head,
    "swin_v2_t": pooled_head,
    "convnext_tiny": lambda net, y: net.classifier(net.avgpool(y)),
    "vgg16": lambda net, y: net.classifier(net.avgpool(net.features[-1](y)).flatten(1)),
    "vgg11_bn": lambda net, y: net.classifier(net.avgpool(net.features[-1](y)).flatten(1)),
}
CASES = [*TORCHVISION, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def original(name: str) -> nn.Module:
    torch.manual_seed(0)
    extra = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return get_model(name, weights=None, **extra).eval()


@pytest.mark.parametrize("name", CASES)
def test_a_torchvision_backbone_gives_its_networks_last_map(name: str, tmp_path: Path) -> None:
    net = original(name)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    backbone = build_backbone(name, weights=str(tmp_path / "net.pth"), image_px=96).eval()
    with torch.no_grad():
        y = backbone(X)
        logits = (TORCHVISION | SLOW)[name](net, y)
        torch.testing.assert_close(logits, net(X), rtol=1e-3, atol=1e-4)
    assert y.shape[1] == backbone.out_channels
    assert not backbone.stage_channels or backbone.stage_channels[-1] == backbone.out_channels


@pytest.mark.slow
def test_a_vision_transformers_patches_go_back_to_their_grid(tmp_path: Path) -> None:
    net = get_model("vit_b_32", weights=None, image_size=96).eval()
    assert isinstance(net, VisionTransformer)
    nn.init.normal_(net.encoder.pos_embedding)
    torch.save(net.state_dict(), tmp_path / "vit.pth")
    backbone = build_backbone("vit_b_32", weights=str(tmp_path / "vit.pth"), image_px=96).eval()
    tokens = []
    net.encoder.register_forward_hook(lambda _module, _args, out: tokens.append(out))
    with torch.no_grad():
        net(X)
        y = backbone(X)
    torch.testing.assert_close(y.flatten(2).transpose(1, 2), tokens[0][:, 1:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(y[0, :, 1, 2], tokens[0][0, 1 + 1 * 3 + 2], rtol=1e-4, atol=1e-4)
    larger = build_backbone("vit_b_32", weights=str(tmp_path / "vit.pth"), image_px=160)
    assert larger(torch.randn(1, 3, 160, 160)).shape == (1, 768, 5, 5)


@pytest.mark.parametrize(
    ("name", "px"),
    [
        ("timm/resnet10t", 64),
        ("vit_tiny_patch16_224", 64),
        pytest.param("swin_tiny_patch4_window7_224", 96, marks=pytest.mark.slow),
        pytest.param("vit_small_patch14_reg4_dinov2", 56, marks=pytest.mark.slow),
        pytest.param("vit_small_patch16_dinov3", 64, marks=pytest.mark.slow),
        pytest.param("convnext_atto", 64, marks=pytest.mark.slow),
    ],
)
def test_a_timm_backbone_gives_its_networks_features(name: str, px: int, tmp_path: Path) -> None:
    plain = name.removeprefix("timm/")
    config = timm.get_pretrained_cfg(plain)
    assert config is not None
    size: dict[str, Any] = {"img_size": px} if config.fixed_input_size else {}
    net: Any = timm.create_model(plain, **size).eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    backbone = build_backbone(name, weights=str(tmp_path / "net.pt"), image_px=px).eval()
    x = torch.randn(2, 3, px, px)
    with torch.no_grad():
        y, features = backbone(x), net.forward_features(x)
    if features.ndim == 3:
        y, features = y.flatten(2).transpose(1, 2), features[:, net.num_prefix_tokens :]
    elif plain.startswith("swin"):
        features = features.permute(0, 3, 1, 2)
    elif plain.startswith("convnext"):
        features = net.stages(net.stem(x))
    torch.testing.assert_close(y, features, rtol=1e-3, atol=1e-4)
    assert y.shape[1 if y.ndim == 4 else 2] == backbone.out_channels


def test_tiny_is_small_and_shrinks_sixteenfold() -> None:
    backbone = build_backbone("tiny", image_px=64)
    assert 100_000 < sum(p.numel() for p in backbone.parameters()) < 200_000
    assert backbone(torch.randn(2, 3, 64, 64)).shape == (2, 96, 4, 4)
    assert backbone(torch.randn(2, 3, 50, 70)).shape == (2, 96, 4, 5)


def test_vgg_keeps_its_map_before_the_last_pooling() -> None:
    with torch.device("meta"):
        backbone = build_backbone("vgg16", image_px=224)
        assert backbone(torch.empty(1, 3, 224, 224)).shape == (1, 512, 14, 14)
    assert backbone.stage_channels == (64, 128, 256, 512, 512)


@pytest.mark.parametrize(
    "name",
    ["resnet152", "vit_b_16", "swin_t", "regnet_x_400mf", "vit_small_patch14_reg4_dinov2", "retfound_mae"],
)
def test_networks_are_built_on_the_meta_device(name: str) -> None:
    px = 98 if "patch14" in name else 96
    with torch.device("meta"):
        backbone = build_backbone(name, image_px=px)
        assert backbone(torch.empty(2, 3, px, px)).shape[1] == backbone.out_channels


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet51", "Did you mean .*resnet50"),
        ("timm/nonsense_qq", "timm.list_models"),
        ("retfound_mea", "retfound_mae"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone(name, image_px=64)


def test_an_image_size_that_does_not_fit_the_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiple of vit_b_16's patch of 16 px, got 100"):
        build_backbone("vit_b_16", image_px=100)


def frozen_names(backbone: StagedBackbone) -> set[str]:
    return {name.split(".")[1] for name, p in backbone.named_parameters() if not p.requires_grad}


def running_means(backbone: StagedBackbone) -> list[Tensor]:
    return [buffer for name, buffer in backbone.named_buffers() if name.endswith("running_mean")]


@pytest.mark.parametrize(("freeze", "num"), [("none", 0), (0, 0), (2, 2), (5, 5), ("all", 5)])
def test_frozen_stages_keep_weights_and_statistics(freeze: Literal["none", "all"] | int, num: int) -> None:
    backbone = build_backbone("tiny", image_px=32, freeze=freeze).train()
    assert frozen_names(backbone) == {f"stage{i}" for i in range(num)}
    before = [mean.clone() for mean in running_means(backbone)]
    backbone(torch.randn(4, 3, 32, 32) + 1)
    moved = [not torch.equal(*means) for means in zip(running_means(backbone), before, strict=True)]
    assert moved == [i >= num for i in range(5)]
    assert backbone.eval().training is False


@pytest.mark.parametrize(("name", "num"), [("vit_tiny_patch16_224", 3), ("timm/resnet10t", 2)])
def test_leading_stages_of_timm_networks_freeze(name: str, num: int) -> None:
    backbone = build_backbone(name, image_px=32, freeze=num).train()
    stages = [name.removeprefix("net.") for name in backbone.stages]
    last, later = f"{stages[num - 1]}.", tuple(f"{stage}." for stage in stages[num:])
    frozen = {n.removeprefix("net.net.") for n, p in backbone.named_parameters() if not p.requires_grad}
    free = {n.removeprefix("net.net.") for n, p in backbone.named_parameters() if p.requires_grad}
    assert any(name.startswith(last) for name in frozen)
    assert not any(name.startswith(last) for name in free)
    assert not any(name.startswith(later) for name in frozen)
    if "vit" in name:
        assert {"cls_token", "pos_embed", "patch_embed.proj.weight"} <= frozen
    inside = [module for n, module in backbone.named_modules() if n.startswith(f"net.net.{last}")]
    assert inside
    assert not any(module.training for module in inside)


def test_more_stages_than_there_are_cannot_be_frozen_or_dropped() -> None:
    with pytest.raises(ValueError, match=r"backbone.freeze.*up to 5 leading stages, got 6"):
        build_backbone("tiny", image_px=32, freeze=6)
    with pytest.raises(ValueError, match=r"drop_stages.*between 0 and 4.*got 5"):
        build_backbone("tiny", image_px=32, drop_stages=5)
    with pytest.raises(ValueError, match=r"drop_stages.*between 0 and 0"):
        build_backbone("vit_tiny_patch16_224", image_px=32, drop_stages=1)


@pytest.mark.parametrize(
    ("name", "freeze", "px", "num"),
    [
        ("tiny", "none", 32, 0),
        ("tiny", 3, 32, 3),
        ("vit_b_16", 2, 32, 2),
        ("timm/resnet10t", "all", 32, 1),
        ("timm/resnet10t", 2, 32, 0),
    ],
)
def test_the_frozen_parts_lead_to_the_others(
    name: str, freeze: Literal["none", "all"] | int, px: int, num: int
) -> None:
    backbone = build_backbone(name, image_px=px, freeze=freeze).eval()
    assert len(backbone.frozen_parts) == num
    x = torch.randn(2, 3, px, px)
    y = x
    with torch.no_grad():
        for part in (*backbone.frozen_parts, *backbone.later_parts):
            y = part(y)
        torch.testing.assert_close(y, backbone(x))


@pytest.mark.parametrize(("where", "num"), [("every_stage", 0), ("last_block", 4), ("every_block", 1)])
def test_a_part_with_a_trained_attention_is_not_frozen(
    where: Literal["every_stage", "last_block", "every_block"], num: int
) -> None:
    backbone = build_backbone("resnet18", image_px=32, freeze="all").attend(SqueezeExcitation, where)
    assert len(backbone.frozen_parts) == num


def test_the_last_stages_can_be_dropped() -> None:
    backbone = build_backbone("resnet18", image_px=64, drop_stages=1)
    assert backbone.out_channels == 256
    assert backbone(torch.randn(1, 3, 64, 64)).shape == (1, 256, 4, 4)


def gate(channels: int) -> Attention:
    return SqueezeExcitation(channels, reduction=4)


def test_an_attention_after_every_stage() -> None:
    backbone = build_backbone("tiny", image_px=32, freeze=2).eval()
    x = torch.randn(2, 3, 32, 32)
    stages = list(backbone.net.children())
    backbone.attend(gate, "every_stage")
    made = [m for m in backbone.modules() if isinstance(m, SqueezeExcitation)]
    expected = x
    for stage, attention in zip(stages, made, strict=True):
        expected = attention(stage(expected))
    torch.testing.assert_close(backbone(x), expected)
    backbone.train()
    assert all(m.training and all(p.requires_grad for p in m.parameters()) for m in made)
    assert not any(module.training for module in stages[0].modules())


@pytest.mark.parametrize("name", ["tiny", "vit_tiny_patch16_224"])
def test_an_attention_on_the_image(name: str) -> None:
    backbone = build_backbone(name, image_px=32, freeze=2)
    plain, depths, stages = backbone.net, backbone.depths(), backbone.stages
    backbone.attend(lambda channels: Spatial(channels, kernel=3), "input").eval()
    (made,) = (module for module in backbone.modules() if isinstance(module, Spatial))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(backbone(x), plain(made(x)))
    assert backbone.stages == tuple(f"net.{stage}" for stage in stages)
    found = backbone.depths()
    gate = {found.pop(f"net.input.{key}") for key, _ in made.named_parameters()}
    assert gate == {max(depths.values())}
    assert {key.replace("net.net.", "net.", 1): depth for key, depth in found.items()} == depths
    backbone.train()
    assert made.training
    assert all(p.requires_grad for p in made.parameters())


@pytest.mark.parametrize(("where", "num"), [("every_block", 8), ("last_block", 1)])
def test_an_attention_on_residual_branches(where: Literal["every_block", "last_block"], num: int) -> None:
    backbone = build_backbone("resnet18", image_px=32).eval()
    block = [module for module in backbone.modules() if isinstance(module, BasicBlock)][-1]
    bn = block.bn2
    backbone.attend(gate, where)
    made = [m for m in backbone.modules() if isinstance(m, SqueezeExcitation)]
    assert len(made) == num
    x = torch.randn(2, 512, 3, 3)
    expected = (made[-1](bn(block.conv2(block.bn1(block.conv1(x)).relu()))) + x).relu()
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("name", "make", "where", "message"),
    [
        ("tiny", gate, "every_block", "residual network of torchvision"),
        ("vit_tiny_patch16_224", gate, "every_stage", "convolutional"),
        ("tiny", MirrorBinocular, "every_stage", "needs an attention that works on one map"),
        ("tiny", MirrorBinocular, "input", "needs an attention that works on one map"),
    ],
)
def test_attentions_that_do_not_fit_are_refused(
    name: str,
    make: Callable[[int], Attention],
    where: Literal["every_block", "every_stage", "input"],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone(name, image_px=32).attend(make, where)
