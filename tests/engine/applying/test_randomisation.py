"""The cascade forgets part by part, and the two likenesses are what they are said to be."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from models.siamese import SiameseNet
from study.engine.applying.gradcam import evidence_of, grad_cam
from study.engine.applying.randomisation import cascade, rank_correlation, structural_likeness
from study.engine.training.network import build_network
from study.spec.trial_spec import TrialSpec


def network(seed: int, **model: Any) -> SiameseNet:
    torch.manual_seed(seed)
    spec = TrialSpec.read(
        {"data": {"dataset": "odir5k", "image_px": 64}, "model": {"backbone": "tiny", **model}}
    )
    return build_network(spec, 3, 2).eval().requires_grad_(requires_grad=False)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def stage(net: SiameseNet, number: int) -> torch.nn.Module:
    return net.backbone.net.get_submodule(f"stage{number}")


def test_the_cascade_goes_from_the_head_to_the_first_stage() -> None:
    net, fresh = network(0, context="osim", fusion="casfm"), network(1, context="osim", fusion="casfm")
    start = copy.deepcopy(net)
    steps = []
    for step in cascade(net, fresh):
        steps.append(step)
        if step == "fusion":
            assert same(net.head, fresh.head)
            assert same(net.fusion, fresh.fusion)
            assert same(net.context, start.context)
        if step == "backbone 4/4":
            assert same(stage(net, 4), stage(fresh, 4))
            assert same(stage(net, 0), stage(start, 0))
    assert steps == [
        "head",
        "fusion",
        "context",
        "backbone 4/4",
        "backbone 3/4",
        "backbone 2/4",
        "backbone 1/4",
    ]
    assert same(net, fresh)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"embedding": {"dim": 8}, "attention": "cbam"}, ["head", "embedding", "attention"]),
        ({"attention": "spatial", "attention_at": "every_stage"}, ["head"]),
        ({"attention": "spatial", "attention_at": "input"}, ["head"]),
        ({"pooling": "gem"}, ["head", "fusion"]),
    ],
)
def test_parts_without_weights_have_no_turn(model: dict[str, Any], expected: list[str]) -> None:
    net, fresh = network(0, **model), network(1, **model)
    steps = list(cascade(net, fresh))
    assert [s for s in steps if not s.startswith("backbone")] == expected
    assert same(net, fresh)


def test_a_head_that_says_nothing_is_left_alone() -> None:
    net, fresh = network(0), network(1)
    assert "head" not in list(cascade(net, fresh, with_head=False))
    assert not same(net.head, fresh.head)
    assert same(net.backbone, fresh.backbone)


@pytest.mark.slow
def test_every_kind_of_backbone_is_forgotten_whole() -> None:
    for name in ("resnet18", "vit_b_16", "vit_tiny_patch16_224", "efficientnet_b0"):
        net, fresh = network(0, backbone=name), network(1, backbone=name)
        pieces = [s for s in cascade(net, fresh) if s.startswith("backbone")]
        assert len(pieces) == 4
        assert same(net, fresh)


def test_rank_correlation_is_spearmans_and_knows_even_maps() -> None:
    first, second = torch.rand(3, 2, 4, 4).round(decimals=1), torch.rand(3, 2, 4, 4).round(decimals=1)
    found = rank_correlation(first, second)
    assert found == pytest.approx(
        [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    )
    assert rank_correlation(first, first * 3 + 1) == pytest.approx(np.ones(3))
    even = torch.zeros(1, 2, 4, 4)
    assert rank_correlation(first[:1], even)[0] == 0
    assert np.isnan(rank_correlation(even, first[:1])[0])


def test_structural_likeness_does_not_care_for_scale() -> None:
    first, second = torch.rand(2, 2, 4, 4), torch.rand(2, 2, 4, 4)
    assert structural_likeness(first, first * 5) == pytest.approx(np.ones(2))
    assert (structural_likeness(first, second) < 0.9).all()
    assert np.isnan(structural_likeness(torch.zeros(1, 2, 4, 4), second[:1])[0])


def test_the_maps_of_a_network_change_as_it_forgets() -> None:
    net, fresh = network(0, fusion="gated"), network(1, fusion="gated")
    x = torch.randn(6, 2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    trained = grad_cam(net, x, evidence_of(net)).flatten(0, 1)
    for _ in cascade(net, fresh):
        pass
    now = grad_cam(net, x, evidence_of(net)).flatten(0, 1)
    assert abs(np.nanmean(rank_correlation(trained, now))) < 0.5
    assert np.nanmean(structural_likeness(trained, now)) < 0.7
