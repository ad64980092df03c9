"""Backbones give the maps of the networks they are made from, freeze, and take attentions."""

from pathlib import Path
from urllib.error import URLError

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from models.attentions.mirror_binocular import MirrorBinocular
from models.attentions.se import SqueezeExcitation
from models.backbones import build_backbone
from models.backbones._info import FOUNDATIONS, backbone_info
from models.backbones._stages import Backbone

torch.set_num_threads(1)
X = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def pooled_head(net: nn.Module, y: Tensor) -> Tensor:
    head = next(getattr(net, name) for name in ("fc", "head", "classifier") if hasattr(net, name))
    return head(y.mean((2, 3)))


TORCHVISION = {
    "resnet18": pooled_head,
    "mobilenet_v2": pooled_head,
    "shufflenet_v2_x0_5": pooled_head,
    "densenet121": pooled_head,
    "regnet_x_400mf": pooled_head,
    "mnasnet0_5": pooled_head,
    "squeezenet1_1": lambda net, y: net.classifier(y).flatten(1),
    "alexnet": lambda net, y: net.classifier(net.avgpool(net.features[-1](y)).flatten(1)),
}
SLOW = {
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
    size = {"img_size": px} if timm.get_pretrained_cfg(plain).fixed_input_size else {}
    net = timm.create_model(plain, **size).eval()
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


def frozen_names(backbone: Backbone) -> set[str]:
    return {name.split(".")[1] for name, p in backbone.named_parameters() if not p.requires_grad}


def norms(backbone: Backbone) -> list[nn.BatchNorm2d]:
    return [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(("freeze", "num"), [("none", 0), (0, 0), (2, 2), (5, 5), ("all", 5)])
def test_frozen_stages_keep_weights_and_statistics(freeze: object, num: int) -> None:
    backbone = build_backbone("tiny", image_px=32, freeze=freeze).train()
    assert frozen_names(backbone) == {f"stage{i}" for i in range(num)}
    before = [m.running_mean.clone() for m in norms(backbone)]
    backbone(torch.randn(4, 3, 32, 32) + 1)
    moved = [not torch.equal(m.running_mean, b) for m, b in zip(norms(backbone), before, strict=True)]
    assert moved == [i >= num for i in range(5)]
    assert backbone.eval().training is False


@pytest.mark.parametrize(("name", "num"), [("vit_tiny_patch16_224", 3), ("timm/resnet10t", 2)])
def test_leading_stages_of_timm_networks_freeze(name: str, num: int) -> None:
    backbone = build_backbone(name, image_px=32, freeze=num).train()
    stage = [name.removeprefix("net.") for name in backbone.stages]
    frozen = {n.removeprefix("net.net.") for n, p in backbone.named_parameters() if not p.requires_grad}
    free = {n.removeprefix("net.net.") for n, p in backbone.named_parameters() if p.requires_grad}
    assert any(n.startswith(f"{stage[num - 1]}.") for n in frozen)
    assert not any(n.startswith(f"{stage[num - 1]}.") for n in free)
    assert not any(n.startswith(f"{later}.") for n in frozen for later in stage[num:])
    if "vit" in name:
        assert {"cls_token", "pos_embed", "patch_embed.proj.weight"} <= frozen
    assert all(
        not m.training for n, m in backbone.named_modules() if n.startswith(f"net.net.{stage[num - 1]}")
    )


def test_more_stages_than_there_are_cannot_be_frozen_or_dropped() -> None:
    with pytest.raises(ValueError, match=r"backbone.freeze.*up to 5 leading stages, got 6"):
        build_backbone("tiny", image_px=32, freeze=6)
    with pytest.raises(ValueError, match=r"drop_stages.*between 0 and 4.*got 5"):
        build_backbone("tiny", image_px=32, drop_stages=5)
    with pytest.raises(ValueError, match=r"drop_stages.*between 0 and 0"):
        build_backbone("vit_tiny_patch16_224", image_px=32, drop_stages=1)


def test_the_last_stages_can_be_dropped() -> None:
    backbone = build_backbone("resnet18", image_px=64, drop_stages=1)
    assert backbone.out_channels == 256
    assert backbone(torch.randn(1, 3, 64, 64)).shape == (1, 256, 4, 4)


def gate(channels: int) -> nn.Module:
    return SqueezeExcitation(channels, reduction=4)


def test_an_attention_after_every_stage() -> None:
    backbone = build_backbone("tiny", image_px=32, freeze=2).eval()
    x = torch.randn(2, 3, 32, 32)
    stages = list(backbone.net)
    backbone.attend(gate, "every_stage")
    made = [m for m in backbone.modules() if isinstance(m, SqueezeExcitation)]
    expected = x
    for stage, attention in zip(stages, made, strict=True):
        expected = attention(stage(expected))
    torch.testing.assert_close(backbone(x), expected)
    backbone.train()
    assert all(m.training and all(p.requires_grad for p in m.parameters()) for m in made)
    assert not stages[0][1].training


@pytest.mark.parametrize(("where", "num"), [("every_block", 8), ("last_block", 1)])
def test_an_attention_on_residual_branches(where: str, num: int) -> None:
    backbone = build_backbone("resnet18", image_px=32).eval()
    block = backbone.net[-1][-1][-1]
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
        ("tiny", MirrorBinocular, "every_stage", "one map only"),
    ],
)
def test_attentions_that_do_not_fit_are_refused(
    name: str, make: type[nn.Module], where: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone(name, image_px=32).attend(make, where)


def offline(*_args: object, **_kwargs: object) -> None:
    raise URLError("no network")


def test_without_a_network_the_message_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(
        ValueError,
        match=r"imagenet weights of resnet18 could not be fetched.*resnet18-f37072fd.pth into .*/checkpoints/",
    ):
        build_backbone("resnet18", weights="imagenet", image_px=32)
    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ValueError, match=r"hf download timm/resnet10t.*weights: /path/to/model.safetensors"):
        build_backbone("timm/resnet10t", weights="imagenet", image_px=32)
    with pytest.raises(ValueError, match="tiny has no pretrained weights"):
        build_backbone("tiny", weights="imagenet", image_px=32)
    with pytest.raises(
        ValueError,
        match=r"dinov3 could not be fetched.*form at huggingface.co/timm/.* token: `hf auth login`",
    ):
        build_backbone("timm/vit_small_patch16_dinov3", weights="imagenet", image_px=32)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("retfound_mae", "RETFound_mae_natureCFP.pth"),
        ("retfound_dinov2", "RETFound_dinov2_meh.pth"),
        ("flair", "pytorch_model.bin"),
    ],
)
@pytest.mark.parametrize("weights", ["imagenet", "/nowhere/model.pth"])
def test_a_foundation_model_says_which_file_it_needs_and_whether_a_form_is_in_the_way(
    name: str, file: str, weights: str
) -> None:
    message = rf"`backbone.weights`.*{name}.*Fetch {file} of huggingface.co/.*weights: /path/to/{file}"
    with pytest.raises(ValueError, match=message) as caught:
        build_backbone(name, weights=weights, image_px=32)
    assert ("form there and a token" in str(caught.value)) == backbone_info(name).gated


@pytest.mark.parametrize(
    ("name", "licence", "gated", "seen", "commercial"),
    [
        ("resnet50", "BSD-3-Clause", False, "imagenet1k", True),
        ("vit_small_patch14_dinov2.lvd142m", "apache-2.0", False, "lvd142m", True),
        ("timm/vit_small_patch16_dinov3", "dinov3-license", True, "lvd1689m", True),
        ("retfound_mae", "CC-BY-NC-4.0", True, "eyepacs", False),
        ("retfound_green", "non-commercial, custom", False, "odir5k", False),
        ("flair", "Apache-2.0", False, "odir5k", True),
    ],
)
def test_what_is_known_of_weights(name: str, licence: str, gated: bool, seen: str, commercial: bool) -> None:
    info = backbone_info(name)
    assert (info.licence, info.gated, info.commercial) == (licence, gated, commercial)
    assert seen in info.pretrained_on


def test_a_network_without_weights_has_seen_nothing() -> None:
    assert backbone_info("tiny").pretrained_on == ()
    with pytest.raises(ValueError, match=r"backbone\.name"):
        backbone_info("nonsense")


@pytest.mark.parametrize("name", FOUNDATIONS)
def test_foundation_models_name_networks_that_exist(name: str) -> None:
    with torch.device("meta"):
        assert build_backbone(name, image_px=112).out_channels >= 384
