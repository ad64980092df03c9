"""Network and criterion of a trial's specification, and what is refused before any training."""

from typing import Any

import pytest
import torch
from torch import nn

from models.losses.bce import Bce
from models.output import Output
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.training.checks import check_fits
from study.engine.training.network import (
    Criterion,
    build_criterion,
    build_network,
    label_sets,
    without_weights,
)
from study.spec.components import Component, load
from study.spec.data_section import DataSpec
from study.spec.errors import SpecError, WeightsError
from study.spec.trial_spec import TrialSpec

PAIRS = open_dataset(DataSpec(dataset=Component(name="odir5k"), phantom_patients=40))
SINGLES = open_dataset(DataSpec(dataset=Component(name="folders"), phantom_patients=20))
GRADES = open_dataset(DataSpec(dataset=Component(name="eyepacs"), phantom_patients=40))


def spec(**parts: Any) -> TrialSpec:
    return TrialSpec.read(
        {"data": {"dataset": "odir5k", "image_px": 32}, "model": {"backbone": "tiny"}, **parts}
    )


def test_a_head_says_what_its_logits_are_compared_with() -> None:
    powerset = spec(model={"backbone": "tiny", "head": "powerset"}, loss="cross_entropy")
    targets = torch.from_numpy(PAIRS.targets).float()
    net = build_network(powerset, 8, 2, label_sets(targets))
    criterion = build_criterion(powerset, net, targets)
    output = net.eval()(torch.randn(4, 2, 3, 32, 32))
    encoded = net.head.encode(targets[:4])
    expected = nn.functional.cross_entropy(output.logits, encoded.argmax(1))
    torch.testing.assert_close(criterion(output, targets[:4], -torch.ones(4, 2, 8)), expected)


def test_a_metric_loss_sees_the_labels_themselves() -> None:
    contrastive = spec(loss={"name": "contrastive", "margin": 0.7})
    net = build_network(contrastive, 8, 2)
    targets = torch.from_numpy(PAIRS.targets).float()
    criterion = build_criterion(contrastive, net, targets)
    assert not criterion.trains_head
    output = net.eval()(torch.randn(4, 2, 3, 32, 32))
    torch.testing.assert_close(
        criterion(output, targets[:4], -torch.ones(4, 2, 8)), criterion.loss(output, targets[:4])
    )


def test_eyes_with_known_labels_add_their_own_loss() -> None:
    torch.manual_seed(0)
    head = build_network(spec(), 3, 2).head
    loss = Bce(torch.full((3,), 0.5))
    criterion = Criterion(loss, head, eye_weight=0.4)
    view_logits = torch.randn(2, 2, 3)
    output = Output(torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 2, 5), view_logits)
    targets = torch.tensor([[1.0, 0, 0], [0, 1.0, 1.0]])
    eyes = torch.tensor([[[1.0, 0, 0], [-1, -1, -1]], [[0, 1.0, 0], [0, 0, 1.0]]])
    sample, eye = [0, 1, 1], [0, 0, 1]
    of_eyes = nn.functional.binary_cross_entropy_with_logits(view_logits[sample, eye], eyes[sample, eye])
    torch.testing.assert_close(criterion(output, targets, eyes), loss(output, targets) + 0.4 * of_eyes)
    unknown = -torch.ones(2, 2, 3)
    torch.testing.assert_close(criterion(output, targets, unknown), loss(output, targets))


def test_a_network_can_learn_from_single_eyes_alone() -> None:
    torch.manual_seed(0)
    head = build_network(spec(), 3, 2).head
    criterion = Criterion(Bce(torch.full((3,), 0.5)), head, eye_weight=0, eyes_alone=True)
    view_logits = torch.randn(2, 2, 3, requires_grad=True)
    output = Output(view_logits.amax(1), torch.randn(2, 4), torch.randn(2, 2, 5), view_logits)
    wrong = torch.ones(2, 3)  # what is true of the patient does not count
    eyes = torch.tensor([[[1.0, 0, 0], [-1, -1, -1]], [[0, 1.0, 0], [0, 0, 1.0]]])
    of_eyes = nn.functional.binary_cross_entropy_with_logits(
        view_logits[[0, 1, 1], [0, 0, 1]], eyes[[0, 1, 1], [0, 0, 1]]
    )
    torch.testing.assert_close(criterion(output, wrong, eyes), of_eyes)
    nothing = criterion(output, wrong, -torch.ones(2, 2, 3))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert view_logits.grad is not None
    assert not view_logits.grad.any()


def test_a_network_of_single_eyes_gives_no_eye_anything_of_the_other() -> None:
    parts = {"model": {"backbone": "tiny", "fusion": "late"}, "training": {"supervision": "eyes"}}
    net = build_network(spec(**parts), 8, 2).eval()
    images = torch.randn(2, 2, 3, 32, 32)
    other = images.clone()
    other[:, 1] = torch.randn(2, 3, 32, 32)
    before, after = net(images).view_logits, net(other).view_logits
    assert before is not None
    assert after is not None
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_supervision_of_eyes_gives_the_network_a_head_for_them() -> None:
    net = build_network(spec(training={"eye_weight": 0.3}), 8, 2).eval()
    output = net(torch.randn(2, 2, 3, 32, 32))
    assert output.view_logits is not None
    assert output.view_logits.shape == (2, 2, 8)


def test_an_attention_stands_where_it_is_asked_for() -> None:
    last = build_network(spec(model={"backbone": "tiny", "attention": "se"}), 8, 2)
    every = build_network(
        spec(model={"backbone": "tiny", "attention": "se", "attention_at": "every_stage"}), 8, 2
    )
    count = [sum(isinstance(m, load("attention", "se")) for m in net.modules()) for net in (last, every)]
    assert count[0] == 1
    assert count[1] == len(every.backbone.stages)


@pytest.mark.parametrize(
    ("parts", "pairs", "message"),
    [
        (
            {"model": {"backbone": "tiny", "head": "softmax"}},
            PAIRS,
            r"`model.head`: labels of kind multilabel need .* Take one of .*multi_label",
        ),
        (
            {"loss": "cross_entropy"},
            PAIRS,
            r"`loss`: `cross_entropy` does not fit the head `multi_label`.* Take one of .*bce",
        ),
        ({"model": {"backbone": "tiny", "fusion": "difference"}}, SINGLES, r"difference needs both eyes"),
        ({"loss": {"name": "focal", "gamma": -1}}, PAIRS, r"gamma"),
        ({"optimiser": {"layer_decay": 0}}, PAIRS, r"`optimiser.layer_decay`: .*greater than 0, got 0"),
        (
            {"optimiser": {"layer_decay": 1.1}},
            PAIRS,
            r"`optimiser.layer_decay`: .*less than or equal to 1, got 1.1",
        ),
        ({"model": {"backbone": "resnet51"}}, PAIRS, r"`backbone.name`.*resnet51"),
        (
            {"model": {"backbone": "timm/hrnet_w18_small"}, "optimiser": {"layer_decay": 0.7}},
            PAIRS,
            r"`optimiser.layer_decay`: must be 1 for timm/hrnet_w18_small, whose stages are not known",
        ),
        (
            {"model": {"backbone": {"name": "tiny", "freeze": 9}}},
            PAIRS,
            r"`backbone.freeze`: must be none, all, or up to",
        ),
        (
            {
                "model": {"backbone": {"name": "timm/resnet10t", "freeze": 2}},
                "training": {"feature_bank": 8},
            },
            PAIRS,
            r"`training.feature_bank`: .* no leading part of the network is frozen whole",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_training(
    parts: dict[str, Any], pairs: Pairs, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check_fits(spec(**parts), pairs)


@pytest.mark.parametrize(
    ("parts", "pairs"),
    [
        ({}, PAIRS),
        ({"model": {"backbone": "tiny", "head": "powerset"}, "loss": "cross_entropy"}, PAIRS),
        ({"model": {"backbone": "tiny", "head": "softmax"}, "loss": "cross_entropy"}, GRADES),
        ({"model": {"backbone": "tiny", "head": "softmax"}, "loss": "contrastive"}, SINGLES),
        ({"model": {"backbone": "tiny", "context": "osim", "fusion": "dual_synergy"}}, PAIRS),
    ],
)
def test_what_fits_is_accepted(parts: dict[str, Any], pairs: Pairs) -> None:
    check_fits(spec(**parts), pairs)
    sets = label_sets(torch.from_numpy(pairs.targets).float())
    assert build_network(spec(**parts), len(pairs.labels), pairs.num_views, sets) is not None


def test_a_missing_weights_file_is_a_weights_error() -> None:
    missing = spec(model={"backbone": {"name": "resnet18", "weights": "nowhere.pth"}})
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        build_network(missing, 8, 2)
    assert without_weights(missing).model.backbone.weights == "none"
