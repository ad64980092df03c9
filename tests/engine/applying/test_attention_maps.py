"""Attention maps read from outside: each block's map recomputed from its own parts."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from models.attentions.mirror_binocular import MirrorBinocular
from models.fusions.cross_attention import CrossAttentionFusion
from models.siamese import SiameseNet
from study.engine.applying.attention_maps import attention_maps
from study.engine.training.network import build_network
from study.spec.trial_spec import TrialSpec

PX = 96  # a 6 x 6 map
OTHER = "fusion: seen by the other eye"


def network(num_views: int = 2, **model: Any) -> SiameseNet:
    torch.manual_seed(0)
    spec = TrialSpec.read(
        {"data": {"dataset": "odir5k", "image_px": PX}, "model": {"backbone": "tiny", **model}}
    )
    net = build_network(spec, 3, num_views).eval().requires_grad_(requires_grad=False)
    for parameter in net.parameters():  # blocks that start as the identity, or even, shall do something
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return net


def images(num_views: int = 2) -> Tensor:
    return torch.randn(2, num_views, 3, PX, PX, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ({}, set()),
        ({"attention": "se"}, set()),
        ({"fusion": "gated"}, set()),
        ({"attention": "cbam"}, {"attention: spatial gate"}),
        ({"attention": "spatial"}, {"attention: spatial gate"}),
        ({"attention": "residual"}, {"attention: spatial gate"}),
        ({"attention": "coordinate"}, {"attention: coordinate gate"}),
        ({"attention": "mirror"}, {"attention: left-right mirror", "attention: upside-down mirror"}),
        (
            {"attention": {"name": "mirror", "flips": "image"}},
            {"attention: left-right mirror", "attention: upside-down mirror"},
        ),
        (
            {"attention": {"name": "mirror_binocular", "norm": "rows"}},
            {"attention: mirror in the fellow eye"},
        ),
        ({"context": "self_attention"}, {"context: self-attention"}),
        ({"attention": "spatial", "attention_at": "input"}, {"backbone: spatial gate"}),
        ({"context": "mirror"}, {"context: left-right mirror", "context: upside-down mirror"}),
        ({"context": "channel_spatial"}, {"context: spatial gate"}),
        ({"context": "osim"}, {"context: scale gate"}),
        ({"context": {"name": "osim_per_eye", "eyes": "both"}}, {"context: scale gate"}),
        ({"fusion": {"name": "gated", "level": "feature_map"}}, {"fusion: eye's share"}),
        ({"fusion": "casfm"}, {OTHER}),
        ({"fusion": "cross_attention"}, {OTHER}),
        (
            {"fusion": "dual_synergy"},
            {OTHER, "fusion: place", "fusion: difference gate", "fusion: likeness gate"},
        ),
    ],
)
def test_each_block_with_places_has_a_map(model: dict[str, Any], names: set[str]) -> None:
    net = network(**model)
    before = net(images()).logits
    found = attention_maps(net, images())
    assert set(found) == names
    for maps in found.values():
        assert maps.shape[:2] == (2, 2)
        assert maps.std() > 0
        assert (maps >= 0).all()
    assert torch.equal(net(images()).logits, before)
    assert all(not module._forward_hooks for module in net.modules())


def test_a_gate_is_what_the_map_is_multiplied_with() -> None:
    net = network(attention="spatial")
    maps = net.context(net.backbone(images().flatten(0, 1)))
    gate = (net.attention(maps) / maps)[:, 0].unflatten(0, (2, 2))
    found = attention_maps(net, images())["attention: spatial gate"]
    torch.testing.assert_close(
        found[maps[:, 0].unflatten(0, (2, 2)) > 0.01], gate[maps[:, 0].unflatten(0, (2, 2)) > 0.01]
    )


@pytest.mark.parametrize("eyes", ["left", "right"])
def test_an_eye_without_a_gate_has_no_map(eyes: str) -> None:
    net = network(context={"name": "osim_per_eye", "eyes": eyes})
    missing = attention_maps(net, images())["context: scale gate"].isnan().all((0, 2, 3))
    assert missing.tolist() == [eyes == "right", eyes == "left"]


def test_one_gate_for_both_eyes_is_read_twice() -> None:
    net = network(context={"name": "osim_per_eye", "share": True})
    x = images()
    found = attention_maps(net, x)["context: scale gate"]
    torch.testing.assert_close(attention_maps(net, x.flip(1))["context: scale gate"], found.flip(1))


def test_what_the_other_eye_sees_is_its_mean_attention() -> None:
    net = network(fusion={"name": "cross_attention", "dim": 16, "heads": 2})
    fusion, x = net.fusion, images()
    assert isinstance(fusion, CrossAttentionFusion)
    maps = net.context(net.backbone(x.flatten(0, 1)))
    tokens = fusion.norms[0](fusion.reduce(maps).flatten(2).transpose(1, 2)).unflatten(0, (2, 2))
    query, key = fusion.cross.query(tokens), fusion.cross.key_value(tokens)[..., :16]
    found = attention_maps(net, x)[OTHER]
    for sample, eye in ((0, 0), (1, 1)):
        seen = torch.zeros(36)
        for head, place in product((slice(0, 8), slice(8, 16)), range(36)):
            logits = key[sample, eye, :, head] @ query[sample, 1 - eye, place, head] / 8**0.5
            seen += logits.softmax(0) / 2
        torch.testing.assert_close(found[sample, eye].flatten(), seen, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cross_mode", ["literal", "standard"])
def test_in_casfm_too_an_eye_is_seen_by_the_other(cross_mode: str) -> None:
    net = network(
        fusion={"name": "casfm", "dim": 16, "heads": 2, "cross_mode": cross_mode, "share_eyes": True}
    )
    x = images()
    found = attention_maps(net, x)[OTHER]
    assert found.shape == (2, 2, 3, 3)
    torch.testing.assert_close(found.mean((2, 3)), torch.ones(2, 2))
    torch.testing.assert_close(attention_maps(net, x.flip(1))[OTHER], found.flip(1))


@pytest.mark.parametrize("norm", ["cols", "rows"])
def test_the_mirror_tells_the_fellow_eyes_places(norm: str) -> None:
    """A fellow eye even but for one place: it is looked at there alone (`cols`), or by all alike (`rows`)."""
    net = network(attention={"name": "mirror_binocular", "norm": norm})
    block = net.attention
    assert isinstance(block, MirrorBinocular)
    maps = torch.zeros(1, 2, 96, 6, 6)
    maps[0, 1, :, 1, 4] = torch.randn(96).abs() * 30
    net.context.register_forward_hook(lambda module, args, output: maps.flatten(0, 1))
    query, key = block.query(maps.flatten(0, 1)), block.branch.key(maps[:, 1].flip(-1))
    logits = query[0] @ key[0].T / query.shape[2] ** 0.5
    if norm == "cols":
        expected, eye = logits.softmax(1).sum(0).reshape(6, 6).flip(-1), 1
    else:
        expected, eye = logits.softmax(0).sum(1).reshape(6, 6), 0
    found = attention_maps(net, torch.zeros(1, 2, 3, PX, PX))["attention: mirror in the fellow eye"]
    torch.testing.assert_close(found[0, eye], expected)
    if norm == "cols":
        assert (found[0, 1] - found[0, 1].median()).abs().flatten().argmax() == 1 * 6 + 4


def test_single_images_have_maps_too() -> None:
    found = attention_maps(network(1, attention="cbam", fusion="max"), images(1))
    assert found["attention: spatial gate"].shape == (2, 1, 6, 6)


def test_blocks_inside_the_backbone_are_told_apart() -> None:
    found = attention_maps(network(attention="spatial", attention_at="every_stage"), images())
    assert len(found) == 5
    assert next(iter(found)) == "backbone: spatial gate"
    assert found["backbone: spatial gate"].shape == (2, 2, 48, 48)
