"""Every loss of the registry does what its contract says, on batches of every kind."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from models.contracts import Loss
from models.output import Output
from study.spec import components
from study.testing import check_component
from tests.models.parts import Spec, label, specs_of
from tests.models.parts import build as build_component

torch.set_num_threads(1)
LABELS = 4
PAIRS: list[Spec] = [{"name": "contrastive", "pairs": pairs} for pairs in ("random", "balanced", "hard")]
MININGS: list[Spec] = [{"name": "triplet", "mining": mining} for mining in ("semihard", "hard")]
VARIANTS: list[Spec] = [
    {"name": "bce", "pos_weight": "balanced"},
    {"name": "cross_entropy", "weight": "balanced", "label_smoothing": 0.1},
    {"name": "focal", "alpha": None, "gamma": 0.0},
    *PAIRS,
    {"name": "contrastive", "form": "linear", "min_jaccard": 0.5},
    *MININGS,
    {"name": "circle", "scope": "batch"},
    {"name": "fine_triplet", "degree": "none"},
    {"name": "fine_triplet", "degree": "ratio_literal", "detach_degree": True},
]
SPECS = specs_of("loss", VARIANTS)
METRIC = [spec for spec in SPECS if not components.load("loss", str(spec["name"])).trains_head]
ONE, TWO = [1.0, 0, 0, 0], [0, 1.0, 0, 0]
MIXED = torch.tensor([ONE, TWO, ONE, [0, 0, 1.0, 0], TWO, [0, 0, 0, 1.0]])


def build(spec: Spec) -> Loss:
    loss = build_component("loss", spec, torch.tensor([0.5, 0.3, 0.2, 0.0]))
    assert isinstance(loss, Loss)
    return loss


def leaves(num: int) -> tuple[Tensor, Tensor]:
    """Logits and embeddings that take a gradient."""
    torch.manual_seed(0)
    return torch.randn(num, LABELS).requires_grad_(), (0.2 * torch.randn(num, 6)).requires_grad_()


def output(logits: Tensor, fused: Tensor) -> Output:
    return Output(logits, fused, fused[:, None].expand(-1, 2, -1))


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_every_loss_passes_the_check_that_packages_use(spec: Spec) -> None:
    check_component("loss", str(spec["name"]), **{key: value for key, value in spec.items() if key != "name"})


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_equal_embeddings_and_far_logits_stay_finite(spec: Spec) -> None:
    logits = torch.full((6, LABELS), 60.0, requires_grad=True)
    fused = torch.ones(6, 6, requires_grad=True)
    value = build(spec)(output(logits, fused), MIXED)
    value.backward()
    assert value.isfinite()
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in (logits, fused))


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_copies_give_the_same(spec: Spec) -> None:
    out = output(*leaves(6))
    loss = build(spec)
    values = []
    for other in (loss, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        torch.manual_seed(3)
        values.append(other(out, MIXED))
    assert values[0] == values[1] == values[2]


@pytest.mark.parametrize("spec", METRIC, ids=label)
def test_bfloat16_autocast_changes_no_metric_loss(spec: Spec) -> None:
    out = output(*leaves(6))
    torch.manual_seed(3)
    full = build(spec)(out, MIXED)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        half = build(spec)(out, MIXED)
    torch.testing.assert_close(half, full)


@pytest.mark.parametrize("spec", METRIC, ids=label)
def test_a_batch_without_a_pair_has_no_loss(spec: Spec) -> None:
    assert build(spec)(output(*leaves(1)), torch.tensor([ONE])) == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "contrastive", "margin": 0.0}, "loss.contrastive.margin"),
        ({"name": "contrastive", "min_jaccard": 0.0}, "loss.min_jaccard"),
        ({"name": "triplet", "margin": -1.0}, "loss.triplet.margin"),
        ({"name": "circle", "gamma": 0.0}, "loss.circle"),
        ({"name": "fine_triplet", "margin": 1.0}, "loss.fine_triplet"),
        ({"name": "supcon", "temperature": 0.0}, "loss.supcon.temperature"),
        ({"name": "focal", "gamma": -1.0}, "loss.focal.gamma"),
        ({"name": "focal", "alpha": 2.0}, "loss.focal.alpha"),
        ({"name": "asymmetric", "clip": 1.0}, "loss.asymmetric"),
        ({"name": "cross_entropy", "label_smoothing": 2.0}, "label_smoothing"),
        ({"name": "average_precision", "bins": 1}, "loss.average_precision.bins"),
    ],
    ids=label,
)
def test_an_argument_outside_its_range_is_refused(spec: Spec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(spec)
