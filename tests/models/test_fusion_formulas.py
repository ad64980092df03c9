"""The simple fusions against their formulas, recomputed slowly."""

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.fusions.bilinear import Bilinear
from models.fusions.concat import Concat
from models.fusions.cross_attention import CrossAttentionFusion
from models.fusions.difference import Difference
from models.fusions.ffm import Ffm
from models.fusions.gated import Gated
from models.fusions.late import Late
from models.fusions.max import Max
from models.fusions.sum import Sum
from models.poolings.gem import Gem
from tests.models.parts import conv_and_norm, scramble

torch.set_num_threads(1)
torch.manual_seed(0)
L, R = torch.randn(2, 3, 8, 4, 5)
PAIR = torch.stack([L, R], 1)


def mean(x: Tensor) -> Tensor:
    return x.flatten(2).sum(2) / 20


def test_concat() -> None:
    torch.testing.assert_close(Concat(8, 2)(PAIR), torch.cat([mean(L), mean(R)], 1))
    module = scramble(Concat(8, 2, level="feature_map"))
    conv, norm = conv_and_norm(module.mix)
    mixed = norm(F.conv2d(torch.cat([L, R], 1), conv.weight)).relu()
    torch.testing.assert_close(module(PAIR), mean(mixed))


def test_difference() -> None:
    left, right = mean(L), mean(R)
    torch.testing.assert_close(Difference(8, 2)(PAIR), torch.cat([(left - right).abs(), left + right], 1))
    expected = torch.cat([mean((L - R).abs()), mean(L + R)], 1)
    torch.testing.assert_close(Difference(8, 2, level="feature_map")(PAIR), expected)


def test_sum_and_max() -> None:
    torch.testing.assert_close(Sum(8, 2)(PAIR), mean(L) + mean(R))
    torch.testing.assert_close(Sum(8, 2, average=True)(PAIR), (mean(L) + mean(R)) / 2)
    torch.testing.assert_close(Max(8, 2)(PAIR), torch.maximum(mean(L), mean(R)))
    torch.testing.assert_close(Max(8, 2, level="feature_map")(PAIR), mean(torch.maximum(L, R)))


def test_gated_weighs_the_views_by_a_softmax() -> None:
    module = scramble(Gated(8, 2))
    left, right = mean(L), mean(R)
    share = (module.score(left) - module.score(right)).sigmoid()
    torch.testing.assert_close(module(PAIR), share * left + (1 - share) * right)
    maps = scramble(Gated(8, 2, level="feature_map"))
    weight, bias = maps.score.weight[:, :, None, None], maps.score.bias
    share = (F.conv2d(L, weight, bias) - F.conv2d(R, weight, bias)).sigmoid()
    torch.testing.assert_close(maps(PAIR), mean(share * L + (1 - share) * R))


def test_late_joins_logits() -> None:
    logits = torch.tensor([[[2.0, -3.0, 0.0], [-1.0, -2.0, 40.0]]])
    torch.testing.assert_close(Late(8, 2)(PAIR), (mean(L) + mean(R)) / 2)
    torch.testing.assert_close(Late(8, 2, rule="max").combine(logits), torch.tensor([[2.0, -2.0, 40.0]]))
    torch.testing.assert_close(Late(8, 2, rule="mean").combine(logits), torch.tensor([[0.5, -2.5, 20.0]]))
    p = 1 - (1 - logits.double().sigmoid()).prod(1)
    torch.testing.assert_close(Late(8, 2, rule="noisy_or").combine(logits).sigmoid(), p.float())


@pytest.mark.parametrize("extreme", [-90.0, 90.0])
def test_noisy_or_has_finite_gradients_far_out(extreme: float) -> None:
    logits = torch.full((1, 2, 3), extreme, requires_grad=True)
    joined = Late(8, 2, rule="noisy_or").combine(logits)
    joined.sum().backward()
    assert joined.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("level", ["pooled", "feature_map"])
def test_bilinear_multiplies_projections(level: Literal["pooled", "feature_map"]) -> None:
    module = scramble(Bilinear(8, 2, rank=6, level=level))
    weight, bias = module.project.weight, module.project.bias
    if level == "pooled":
        s = (mean(L) @ weight.T + bias) * (mean(R) @ weight.T + bias)
    else:
        s = mean(F.conv2d(L, weight[:, :, None, None], bias) * F.conv2d(R, weight[:, :, None, None], bias))
    rooted = s.sign() * (s.abs() + 1e-6).sqrt()
    torch.testing.assert_close(module(PAIR), rooted / rooted.pow(2).sum(1, keepdim=True).sqrt())


def test_ffm_mixes_both_maps() -> None:
    module = scramble(Ffm(8, 2, width=6, hidden=5))
    conv3, norm = conv_and_norm(module.mix)
    y = norm(F.conv2d(torch.cat([L, R], 1), conv3.weight, padding=1)).relu()
    y = module.scale * module.mix[3](y)
    weight, bias = module.leave[0].parameters()
    torch.testing.assert_close(module(PAIR), (mean(y) @ weight.T + bias).relu())
    assert Ffm(8, 2).scale == 0.5


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ/√d) v, head by head and token by token; "n d" each."""
    d = q.shape[1] // heads
    out = torch.zeros_like(q)
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        for i in range(len(q)):
            weights = torch.stack([q[i, part] @ k[j, part] / math.sqrt(d) for j in range(len(k))]).softmax(0)
            out[i, part] = sum(w * v[j, part] for j, w in enumerate(weights))
    return out


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_cross_attention_lets_each_eye_query_the_other(combine: Literal["concat", "sum"]) -> None:
    module = scramble(CrossAttentionFusion(8, 2, dim=8, heads=2, combine=combine))
    reduced = [module.reduce(eye).flatten(2).transpose(1, 2) for eye in (L, R)]
    vectors = []
    for own, other in (reduced, reduced[::-1]):
        a, b = module.norms[0](own), module.norms[0](other)
        key, value = module.cross.key_value(b).chunk(2, 2)
        z = torch.stack([attention(module.cross.query(a)[s], key[s], value[s], 2) for s in range(3)])
        t = own + module.cross.out(z)
        t = t + module.mlp(module.norms[1](t))
        vectors.append(t.mean(1))
    expected = torch.cat(vectors, 1) if combine == "concat" else vectors[0] + vectors[1]
    torch.testing.assert_close(module(PAIR), expected, rtol=1e-4, atol=1e-4)


def test_the_pooling_is_the_callers_choice() -> None:
    gem = Gem(8)
    torch.testing.assert_close(Concat(8, 2)(PAIR, gem), torch.cat([gem(L), gem(R)], 1))
    torch.testing.assert_close(Sum(8, 2)(PAIR, gem), gem(L + R))
