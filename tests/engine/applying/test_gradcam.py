"""Grad-CAM: the formula recomputed slowly, eyes that are told apart, and heat where a planted lesion is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.attentions.mirror import Mirror
from models.heads.powerset import Powerset
from models.siamese import SiameseNet
from study.data.pairs import EYES
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import fundus_patient
from study.engine.applying.gradcam import evidence_of, grad_cam, nearest_mean
from study.engine.training.network import build_network
from study.spec.trial_spec import TrialSpec


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(
    num_views: int = 2, num_labels: int = 3, image_px: int = 32, sets: Tensor | None = None, **model: Any
) -> SiameseNet:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "data": {"dataset": "odir5k", "image_px": image_px},
        "model": {"backbone": "tiny", **model},
    }
    if sets is not None:
        settings["loss"] = "cross_entropy"
    net = build_network(TrialSpec.read(settings), num_labels, num_views, sets)
    return net.eval().requires_grad_(requires_grad=False)


def images(num: int = 3, num_views: int = 2, px: int = 32) -> Tensor:
    return torch.randn(num, num_views, 3, px, px, generator=torch.Generator().manual_seed(1))


def cam_of(net: SiameseNet, x: Tensor) -> Tensor:
    return grad_cam(net, x, evidence_of(net))


def after_backbone(net: SiameseNet, maps: Tensor) -> Tensor:
    """The logits from the backbone's maps "b v c h w", step by step."""
    n, v = maps.shape[:2]
    x = net.attention(net.context(maps.flatten(0, 1))).unflatten(0, (n, v))
    logits: Tensor = net.head(net.fusion(x, net.pooling))
    return logits


@pytest.mark.parametrize("num_views", [1, 2])
def test_the_map_is_the_formula(num_views: int) -> None:
    net = network(num_views, context="sppf", fusion="concat").double()
    x = images(2, num_views).double()
    found = cam_of(net, x)
    maps = net.backbone(x.flatten(0, 1)).unflatten(0, (2, num_views))
    height, width = maps.shape[3:]
    step, slope = 1e-5, torch.zeros(3, *maps.shape, dtype=torch.float64)
    for place in np.ndindex(*maps.shape[1:]):
        more, less = maps.clone(), maps.clone()
        more[(slice(None), *place)] += step
        less[(slice(None), *place)] -= step
        difference = after_backbone(net, more) - after_backbone(net, less)
        slope[(slice(None), slice(None), *place)] = (difference / (2 * step)).T
    for sample, label, view in np.ndindex(2, 3, num_views):
        weights = slope[label, sample, view].sum((1, 2)) / (height * width)
        expected = torch.zeros(height, width, dtype=torch.float64)
        for channel in range(maps.shape[2]):
            expected += weights[channel] * maps[sample, view, channel]
        expected = expected.clamp(min=0)
        torch.testing.assert_close(found[sample, label, view], expected, rtol=1e-5, atol=1e-9)
    assert found.max() > 0


def test_a_batch_gives_each_patient_what_it_gets_alone() -> None:
    net = network(context="osim", attention="cbam", fusion="dual_synergy")
    x = images(4)
    torch.testing.assert_close(
        cam_of(net, x), torch.cat([cam_of(net, one[None]) for one in x]), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize(
    "fusion", ["gated", "difference", "max", {"name": "casfm", "share_eyes": True, "combine": "sum"}]
)
def test_exchanged_eyes_exchange_the_maps(fusion: Any) -> None:
    net = network(fusion=fusion)
    x = images()
    torch.testing.assert_close(cam_of(net, x.flip(1)), cam_of(net, x).flip(2), rtol=1e-3, atol=1e-6)


def test_an_eye_that_does_not_count_is_cold() -> None:
    net = network(fusion="concat")
    weight = net.head.get_parameter("linear.1.weight")
    weight[:, weight.shape[1] // 2 :] = 0
    found = cam_of(net, images())
    assert found[:, :, 0].sum() > 0
    assert found[:, :, 1].abs().max() == 0


def test_labels_have_maps_of_their_own() -> None:
    found = cam_of(network(), images())
    assert not torch.allclose(found[:, 0], found[:, 1])


def test_the_network_is_left_as_it_was() -> None:
    net, x = network(), images()
    before = net(x).logits
    first = cam_of(net, x)
    assert torch.equal(first, cam_of(net, x))
    assert torch.equal(before, net(x).logits)
    assert not net.backbone._forward_hooks


def test_flipped_images_add_what_they_saw_turned_back() -> None:
    net = network(attention={"name": "mirror", "flips": "image"})
    x = images()
    assert isinstance(net.attention, Mirror)
    for branch in (net.attention.views.horizontal, net.attention.views.vertical):
        torch.nn.init.normal_(branch.out.weight, std=0.1)
    found = cam_of(net, x)
    assert found.shape == (3, 3, 2, 2, 2)
    swapped = cam_of(net, x.flip(1))
    assert swapped.shape == found.shape
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["vit_b_16", "vit_tiny_patch16_224"])
@pytest.mark.slow
def test_transformers_have_maps_on_the_grid_of_their_patches(name: str) -> None:
    net = network(image_px=64, backbone=name)
    found = cam_of(net, images(1, px=64))
    assert found.shape == (1, 3, 2, 4, 4)
    assert found.max() > 0


def test_the_evidence_of_label_sets_is_the_log_odds_of_their_probability() -> None:
    sets = torch.tensor([[0.0, 0, 1], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    net = network(head="powerset", sets=sets)
    assert isinstance(net.head, Powerset)
    output = net(images())
    p = net.head.scores(output.logits)
    torch.testing.assert_close(evidence_of(net)(output), (p / (1 - p)).log(), rtol=1e-4, atol=1e-5)
    assert torch.isfinite(cam_of(net, images())).all()


def test_without_a_trained_head_the_nearer_mean_is_the_evidence() -> None:
    net = network(embedding={"dim": 4})
    embedding, targets = (
        torch.randn(6, 4),
        torch.tensor([[1.0, 0, 1]] * 2 + [[0.0, 1, 1]] * 3 + [[1.0, 1, 0]]),
    )
    output = net(images())
    found = nearest_mean(embedding, targets)(output)
    for sample, label in np.ndindex(3, 3):
        z, has = output.fused[sample], targets[:, label] > 0
        slow = ((z - embedding[~has].mean(0)) ** 2).sum() - ((z - embedding[has].mean(0)) ** 2).sum()
        torch.testing.assert_close(found[sample, label], slow)
    assert grad_cam(net, images(), nearest_mean(embedding, targets)).max() > 0


PX, RADIUS = 64, 8


def planted(num: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Images of healthy phantom pairs, a pale spot in one eye of every second one; targets; and the spots."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:PX, :PX]
    pixels, spots = np.zeros((num, 2, PX, PX, 3), np.float32), np.zeros((num, 2, PX, PX), bool)
    for i in range(num):
        healthy = replace(fundus_patient(0, i), labels="N", findings=("", ""), tones=(0.5, 0.5))
        for view, eye in enumerate(EYES):
            pixels[i, view] = draw_fundus(healthy, 0, i, eye, PX) / 255
        if i % 2:
            view, (row, column) = int(random.integers(2)), random.integers(18, PX - 18, 2)
            spots[i, view] = np.hypot(rows - row, columns - column) < RADIUS
            pixels[i, view][spots[i, view]] = (0.95, 0.95, 0.8)
    x = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3) * 2 - 1
    return x, torch.arange(num)[:, None].float() % 2, spots


def heat_at(net: SiameseNet, x: Tensor, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The heat on the spots as a multiple of that of an even map, and the right eye's share of all heat."""
    heat = F.interpolate(cam_of(net, x)[:, 0], (PX, PX), mode="bilinear").numpy()
    total = np.maximum(heat.sum((1, 2, 3)), 1e-12)
    return (heat * spots).sum((1, 2, 3)) / total / spots.mean((1, 2, 3)), heat[:, 1].sum((1, 2)) / total


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["gated", "concat"])
def test_the_heat_is_where_a_planted_lesion_is(fusion: str) -> None:
    x, y, spots = planted(96)
    net = network(num_labels=1, image_px=PX, fusion=fusion, backbone={"name": "tiny", "drop_stages": 2})
    net.requires_grad_(requires_grad=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    ill = np.arange(65, 96, 2)  # not trained on
    untrained, _ = heat_at(net.eval(), x[ill], spots[ill])
    assert untrained.mean() < 2
    net.train()
    for _ in range(20):
        for batch in torch.randperm(64).split(16):
            loss = F.binary_cross_entropy_with_logits(net(x[batch]).logits, y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval().requires_grad_(requires_grad=False)
    assert ((net(x[64:]).logits > 0) == (y[64:] > 0)).float().mean() > 0.9
    factor, share = heat_at(net, x[ill], spots[ill])
    assert factor.mean() > 6  # measured: 11
    right_eye = spots[ill, 1].any(axis=(1, 2))
    assert ((share > 0.5) == right_eye).mean() > 0.9
