"""Each loss against its formula, recomputed pair by pair, and against the field's libraries."""

import math
from functools import partial
from typing import Literal

import pytest
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.distances import LpDistance
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from models.losses._pairs import matches
from models.losses.asymmetric import Asymmetric
from models.losses.average_precision import AveragePrecision
from models.losses.bce import Bce
from models.losses.circle import Circle
from models.losses.contrastive import Contrastive
from models.losses.cross_entropy import CrossEntropy
from models.losses.fine_triplet import FineTriplet
from models.losses.focal import Focal
from models.losses.supcon import SupCon
from models.losses.triplet import Triplet
from models.output import Output

torch.manual_seed(0)
N = 8
P = torch.tensor([0.5, 0.25, 0.05])
LOGITS = torch.randn(N, 3)
FUSED = torch.nn.functional.normalize(torch.randn(N, 6))
CLASSES = torch.tensor([0, 1, 0, 2, 1, 0, 2, 1])
TARGETS = torch.nn.functional.one_hot(CLASSES, 3).float()
MULTI = torch.tensor(
    [[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
).float()
OUT = Output(LOGITS, FUSED, FUSED[:, None])


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@pytest.mark.parametrize("balanced", ["none", "balanced"])
def test_bce(balanced: Literal["none", "balanced"]) -> None:
    total = 0.0
    for z, t in zip(LOGITS, MULTI, strict=True):
        for j in range(3):
            weight = float((1 - P[j]) / P[j]) if balanced == "balanced" else 1.0
            total -= weight * math.log(sigmoid(z[j])) if t[j] else math.log(1 - sigmoid(z[j]))
    assert float(Bce(P, pos_weight=balanced)(OUT, MULTI)) == pytest.approx(total / (3 * N), rel=1e-5)


def test_the_weight_of_a_label_that_nobody_has_is_bounded() -> None:
    loss = Bce(torch.tensor([0.0, 0.5]), pos_weight="balanced")
    assert loss.pos_weight is not None
    assert loss.pos_weight.tolist() == [100.0, 1.0]


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, None), (0.0, 0.5)])
def test_focal(gamma: float, alpha: float | None) -> None:
    total = 0.0
    for z, t in zip(LOGITS.flatten(), MULTI.flatten(), strict=True):
        p = sigmoid(z) if t else 1 - sigmoid(z)
        a = 1.0 if alpha is None else (alpha if t else 1 - alpha)
        total -= a * (1 - p) ** gamma * math.log(p)
    value = Focal(P, gamma=gamma, alpha=alpha)(OUT, MULTI)
    assert float(value) == pytest.approx(total / (3 * N), rel=1e-5)
    torch.testing.assert_close(
        value, sigmoid_focal_loss(LOGITS, MULTI, -1 if alpha is None else alpha, gamma, "mean")
    )


@pytest.mark.parametrize(("gamma_neg", "gamma_pos", "clip"), [(4.0, 0.0, 0.05), (2.0, 1.0, 0.0)])
def test_asymmetric(gamma_neg: float, gamma_pos: float, clip: float) -> None:
    total = 0.0
    for z, t in zip(LOGITS.flatten(), MULTI.flatten(), strict=True):
        p = sigmoid(z)
        q = max(p - clip, 0)
        total -= (1 - p) ** gamma_pos * math.log(p) if t else q**gamma_neg * math.log(1 - q)
    value = Asymmetric(P, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)(OUT, MULTI)
    assert float(value) == pytest.approx(total / (3 * N), rel=1e-5)
    torch.testing.assert_close(value * 3, AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip)(LOGITS, MULTI))


def test_asymmetric_has_a_slope_where_its_power_is_below_one() -> None:
    logits = torch.tensor([[-9.0, 9.0, 0.5]], requires_grad=True)  # the first is clipped
    output = Output(logits, logits, logits[:, None], None)
    loss = Asymmetric(P, gamma_neg=0.5, gamma_pos=0.5)(output, torch.tensor([[0.0, 1.0, 1.0]]))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] < 0


@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_cross_entropy(weight: Literal["none", "balanced"]) -> None:
    w = 1 / P / (P * (1 / P)).sum() if weight == "balanced" else torch.ones(3)
    total = sum(-float(w[c]) * float(z.log_softmax(0)[c]) for z, c in zip(LOGITS, CLASSES, strict=True))
    assert float(CrossEntropy(P, weight=weight)(OUT, TARGETS)) == pytest.approx(total / N, rel=1e-5)


def test_jaccard_matches() -> None:
    for tau in (0.3, 0.5, 2 / 3, 1.0):
        for i in range(N):
            for j in range(N):
                a, b = (set(MULTI[row].nonzero().flatten().tolist()) for row in (i, j))
                expected = len(a & b) / len(a | b) >= tau - 1e-6 if a | b else True
                assert bool(matches(MULTI, tau)[i, j]) == expected


def distance(i: int, j: int) -> float:
    return math.sqrt(sum(float(x) ** 2 for x in FUSED[i] - FUSED[j]))


def pair_loss(i: int, j: int, margin: float, form: str) -> float:
    d, same = distance(i, j), bool(CLASSES[i] == CLASSES[j])
    if form == "squared":
        return 0.5 * (d**2 if same else max(margin - d, 0) ** 2)
    return d if same else max(margin - d, 0)


@pytest.mark.parametrize("form", ["squared", "linear"])
def test_contrastive_over_all_pairs(form: Literal["squared", "linear"]) -> None:
    pairs = [(i, j) for i in range(N) for j in range(i)]
    expected = sum(pair_loss(i, j, 1.2, form) for i, j in pairs) / len(pairs)
    assert float(Contrastive(P, margin=1.2, form=form)(OUT, TARGETS)) == pytest.approx(expected, rel=1e-5)


def test_contrastive_labels_of_hadsell_are_the_opposite() -> None:
    hadsell = 0.0
    for i in range(N):
        for j in range(i):
            y, d = int(CLASSES[i] != CLASSES[j]), distance(i, j)
            hadsell += (1 - y) * 0.5 * d**2 + y * 0.5 * max(0, 1 - d) ** 2
    assert float(Contrastive(P)(OUT, TARGETS)) == pytest.approx(hadsell / (N * (N - 1) / 2), rel=1e-5)


def test_contrastive_hard_pairs() -> None:
    chosen = []
    for i in range(N):
        same = [j for j in range(N) if j != i and CLASSES[i] == CLASSES[j]]
        other = [j for j in range(N) if CLASSES[i] != CLASSES[j]]
        farthest = max(same, key=partial(distance, i))
        nearest = min(other, key=partial(distance, i))
        chosen += [(i, farthest), (i, nearest)]
    expected = sum(pair_loss(i, j, 1.0, "squared") for i, j in chosen) / len(chosen)
    assert float(Contrastive(P, pairs="hard")(OUT, TARGETS)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("pairs", "per_sample"), [("random", 1), ("balanced", 2)])
def test_contrastive_draws_pairs(pairs: Literal["random", "balanced"], per_sample: int) -> None:
    torch.manual_seed(1)
    loss = Contrastive(P, pairs=pairs)
    match = matches(TARGETS, 1.0)
    seen = torch.zeros(N, N)
    for _ in range(200):
        weight = loss._choose(torch.rand(N, N), match)
        assert weight.diagonal().sum() == 0
        assert (weight.sum(1) == per_sample).all()
        if pairs == "balanced":
            assert ((weight * match).sum(1) == 1).all()
        seen += weight
    assert (seen + torch.eye(N) > 0).all()


def test_contrastive_gradient_at_zero_and_beyond_the_margin() -> None:
    fused = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0], [0, 1.0], [0, 1.0]])
    Contrastive(torch.ones(2))(Output(fused, fused, fused[:, None]), targets[[0, 1, 1]]).backward()
    assert fused.grad is not None
    assert fused.grad.isfinite().all()
    far = torch.tensor([[0.0, 0.0], [3.0, 0.0]], requires_grad=True)
    Contrastive(torch.ones(2))(Output(far, far, far[:, None]), targets[:2]).backward()
    assert far.grad is not None
    assert (far.grad == 0).all()


def test_contrastive_linear_is_the_librarys_up_to_its_averaging() -> None:
    library = pml.ContrastiveLoss(distance=LpDistance(normalize_embeddings=False))
    pos = [distance(i, j) for i in range(N) for j in range(i) if CLASSES[i] == CLASSES[j]]
    neg = [max(1 - distance(i, j), 0) for i in range(N) for j in range(i) if CLASSES[i] != CLASSES[j]]
    active = [x for x in neg if x > 0]
    assert float(library(FUSED, CLASSES)) == pytest.approx(
        sum(pos) / len(pos) + (sum(active) / len(active) if active else 0), rel=1e-4
    )
    mine = Contrastive(P, form="linear")(OUT, TARGETS)
    assert float(mine) == pytest.approx((sum(pos) + sum(neg)) / (N * (N - 1) / 2), rel=1e-4)


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_triplet(mining: Literal["all", "semihard", "hard"]) -> None:
    costs = []
    for a in range(N):
        pos = [distance(a, p) for p in range(N) if p != a and CLASSES[p] == CLASSES[a]]
        neg = [distance(a, n) for n in range(N) if CLASSES[n] != CLASSES[a]]
        if mining == "hard":
            costs.append(max(pos) - min(neg) + 0.3)
        else:
            costs += [p - n + 0.3 for p in pos for n in neg if mining == "all" or p < n]
    active = [c for c in costs if c > 0]
    assert float(Triplet(P, margin=0.3, mining=mining)(OUT, TARGETS)) == pytest.approx(
        sum(active) / len(active), rel=1e-5
    )


def test_triplet_is_the_librarys() -> None:
    torch.testing.assert_close(
        Triplet(P, margin=0.3)(OUT, TARGETS), pml.TripletMarginLoss(margin=0.3)(FUSED, CLASSES)
    )


def circle_sum(
    pairs: list[tuple[int, int]],
    m: float,
    gamma: float,
    relevance: dict[tuple[int, int], float] | None = None,
) -> float:
    pos = neg = 0.0
    for i, j in pairs:
        s = float(FUSED[i] @ FUSED[j])
        if CLASSES[i] == CLASSES[j]:
            r = gamma if relevance is None else relevance[i, j]
            pos += math.exp(-r * max(1 + m - s, 0) * (s - 1 + m))
        else:
            neg += math.exp(gamma * max(s + m, 0) * (s - m))
    return math.log(1 + pos * neg)


def test_circle_by_anchor() -> None:
    rows = [circle_sum([(i, j) for j in range(N) if j != i], 0.4, 8.0) for i in range(N)]
    value = Circle(P, gamma=8.0)(OUT, TARGETS)
    assert float(value) == pytest.approx(sum(rows) / N, rel=1e-4)
    torch.testing.assert_close(value, pml.CircleLoss(m=0.4, gamma=8)(FUSED, CLASSES), rtol=1e-4, atol=1e-5)


PAIRS = [(i, j) for j in range(N) for i in range(j)]


def test_fine_triplet_without_degrees_is_circle_over_the_batch() -> None:
    for m, gamma in ((0.25, 1.0), (0.4, 16.0)):
        fine = FineTriplet(P, margin=m, gamma=gamma, degree="none")(OUT, TARGETS)
        assert float(fine) == pytest.approx(circle_sum(PAIRS, m, gamma), rel=1e-5)
        torch.testing.assert_close(
            fine, Circle(P, margin=m, gamma=gamma, scope="batch")(OUT, TARGETS), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("degree", ["ratio_literal", "symmetric"])
def test_fine_triplet_degrees(degree: Literal["ratio_literal", "symmetric"]) -> None:
    deg = []
    for z in FUSED:
        a, b = z[:3], z[3:]
        deg.append(max(float(a @ b / a.norm() / b.norm()), 0.05))
    relevance = {
        (i, j): deg[j] / deg[i] if degree == "ratio_literal" else min(deg[i], deg[j]) / max(deg[i], deg[j])
        for i, j in PAIRS
    }
    value = FineTriplet(P, degree=degree)(OUT, TARGETS)
    assert float(value) == pytest.approx(circle_sum(PAIRS, 0.25, 1.0, relevance), rel=1e-5)


def test_symmetric_degrees_do_not_depend_on_the_order_of_the_batch() -> None:
    positive = FUSED.abs()
    given = Output(LOGITS, positive, positive[:, None])
    turned = Output(LOGITS.flip(0), positive.flip(0), positive.flip(0)[:, None])
    for loss, same in ((FineTriplet(P), True), (FineTriplet(P, degree="ratio_literal"), False)):
        value = float(loss(given, TARGETS))
        assert (float(loss(turned, TARGETS.flip(0))) == pytest.approx(value, rel=1e-5)) == same


def gradient(loss: torch.nn.Module) -> Tensor:
    fused = FUSED.clone().requires_grad_()
    loss(Output(LOGITS, fused, fused[:, None]), TARGETS).backward()
    assert fused.grad is not None
    return fused.grad


def test_degrees_can_be_held_fixed() -> None:
    free, held = gradient(FineTriplet(P)), gradient(FineTriplet(P, detach_degree=True))
    assert not torch.allclose(free, held, atol=1e-6)


def test_fine_triplet_lets_the_weights_move_and_circle_does_not() -> None:
    fine = gradient(FineTriplet(P, degree="none"))
    circle = gradient(Circle(P, margin=0.25, gamma=1.0, scope="batch"))
    assert not torch.allclose(fine, circle, atol=1e-6)


def test_supervised_contrastive() -> None:
    total = 0.0
    for i in range(N):
        others = [j for j in range(N) if j != i]
        bottom = sum(math.exp(float(FUSED[i] @ FUSED[a]) / 0.1) for a in others)
        pos = [j for j in others if CLASSES[j] == CLASSES[i]]
        total -= sum(math.log(math.exp(float(FUSED[i] @ FUSED[p]) / 0.1) / bottom) for p in pos) / len(pos)
    value = SupCon(P)(OUT, TARGETS)
    assert float(value) == pytest.approx(total / N, rel=1e-4)
    torch.testing.assert_close(value, pml.SupConLoss(temperature=0.1)(FUSED, CLASSES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", [Contrastive, Triplet, Circle, SupCon, FineTriplet, AveragePrecision])
def test_multi_label_positives_are_overlapping_label_sets(loss: type[Contrastive]) -> None:
    exact, loose = (float(loss(P, min_jaccard=tau)(OUT, MULTI)) for tau in (1.0, 0.3))
    assert exact != pytest.approx(loose, rel=1e-3)
