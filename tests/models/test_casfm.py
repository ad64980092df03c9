"""CASFM and the dual synergy fusion against their equations, recomputed slowly."""

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.fusions._cafm import ChannelSpatialCross, HeadsCross, cosine_map
from models.fusions._dense_path import DensePath
from models.fusions._synergy import Ccam, Ciam, Discrepancy, Similarity
from models.fusions.casfm import Casfm
from models.fusions.dual_synergy import DualSynergy
from tests.models.parts import build, conv_and_norm, scramble

torch.set_num_threads(1)
torch.manual_seed(0)
PAIR = torch.randn(2, 2, 8, 7, 5)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ/√d) v, head by head; "n d" each."""
    d = q.shape[1] // heads
    parts = [slice(i * d, (i + 1) * d) for i in range(heads)]
    return torch.cat([(q[:, p] @ k[:, p].T / math.sqrt(d)).softmax(1) @ v[:, p] for p in parts], 1)


def slow_casfm(m: Casfm, pair: Tensor, *, literal: bool, scale: float) -> Tensor:
    """Equations 8 to 13 for one pair, eye by eye."""

    def of(t: Tensor, eye: int) -> Tensor:
        return t[min(eye, len(t) - 1)]  # one set of weights serves both eyes where they are shared

    reduced, tokens = [], []
    grid = (3, 2)
    for eye in (0, 1):
        f = F.conv2d(pair[eye], m.reduce.weight, m.reduce.bias)
        share = of(m.mix.raw, eye).sigmoid()
        pooled = scale * (share * F.avg_pool2d(f, 2) + (1 - share) * F.max_pool2d(f, 2))
        assert pooled.shape[1:] == grid
        position = F.interpolate(of(m.position, eye)[None], grid, mode="bilinear")[0]
        tokens.append(m.token(pooled.flatten(1).T) + position.flatten(1).T)
        reduced.append(f)
    normed = [F.layer_norm(t, (8,)) * of(m.norm.weight, e) + of(m.norm.bias, e) for e, t in enumerate(tokens)]
    q, k, v = (
        [n @ of(part.weight, e) + of(part.bias, e) for e, n in enumerate(normed)]
        for part in (m.query, m.key, m.value)
    )
    maps = []
    for eye in (0, 1):
        asking, answering = (1 - eye, eye) if literal else (eye, 1 - eye)
        z = attention(q[asking], k[answering], v[answering], 2)
        t = of(m.alpha.raw, eye).sigmoid() * m.out(z) + of(m.beta.raw, eye).sigmoid() * tokens[eye]
        t = t + m.mlp(t)
        maps.append(reduced[eye] + F.interpolate(t.T.unflatten(1, grid)[None], (7, 5), mode="bilinear")[0])
    return torch.stack(maps)


@pytest.mark.parametrize("cross_mode", ["literal", "standard"])
@pytest.mark.parametrize("share_eyes", [False, True])
def test_casfm_follows_its_equations(cross_mode: Literal["literal", "standard"], share_eyes: bool) -> None:
    built = Casfm(
        8,
        2,
        dim=8,
        heads=2,
        pos_grid=4,
        cross_mode=cross_mode,
        share_eyes=share_eyes,
        literal_scale=share_eyes,
    )
    m = scramble(built)
    literal, scale = cross_mode == "literal", 0.25 if share_eyes else 1.0
    eyes = torch.stack([slow_casfm(m, pair, literal=literal, scale=scale) for pair in PAIR])
    torch.testing.assert_close(m.exchange(PAIR), eyes, rtol=1e-4, atol=1e-4)
    conv, norm = conv_and_norm(m.join)
    joined = F.silu(norm(F.conv2d(eyes.flatten(1, 2), conv.weight)))
    torch.testing.assert_close(m(PAIR), joined.mean((2, 3)), rtol=1e-4, atol=1e-4)


def test_literal_and_standard_exchange_differ() -> None:
    literal = scramble(Casfm(8, 2, dim=8, heads=2))
    standard = Casfm(8, 2, dim=8, heads=2, cross_mode="standard").eval()
    standard.load_state_dict(literal.state_dict())
    assert not torch.allclose(literal.exchange(PAIR), standard.exchange(PAIR), atol=1e-3)


def test_identical_eyes_give_identical_maps_with_shared_weights() -> None:
    twins = PAIR[:, :1].expand(-1, 2, -1, -1, -1)
    shared = scramble(Casfm(8, 2, dim=8, heads=2, share_eyes=True)).exchange(twins)
    torch.testing.assert_close(shared[:, 0], shared[:, 1])
    own = scramble(Casfm(8, 2, dim=8, heads=2)).exchange(twins)
    assert not torch.allclose(own[:, 0], own[:, 1], atol=1e-3)


def test_shares_start_where_the_docstring_says_and_stay_inside_0_and_1() -> None:
    m = Casfm(8, 2, dim=8, heads=2)
    torch.testing.assert_close(m.mix().flatten(), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(m.alpha().flatten(), torch.full((2,), 0.8808), rtol=1e-3, atol=0)
    torch.testing.assert_close(m.beta(), m.alpha())
    for share in (m.mix, m.alpha, m.beta):
        for raw in (-12.0, 12.0):
            nn.init.constant_(share.raw, raw)
            assert 0 < share().min() <= share().max() < 1


def test_casfm_in_evaluation_is_deterministic_and_drops_out_in_training() -> None:
    m = scramble(Casfm(8, 2, dim=8, heads=2, dropout=0.5))
    torch.testing.assert_close(m(PAIR), m(PAIR), rtol=0, atol=0)
    m.train()
    assert not torch.equal(m.exchange(PAIR), m.exchange(PAIR))


def test_channel_spatial_cross_reweighs_positions() -> None:
    m = scramble(ChannelSpatialCross(8))
    maps = PAIR
    for b in range(2):
        a = [m.mean_mlp(eye.mean((1, 2))) + m.max_mlp(eye.amax((1, 2))) for eye in maps[b]]
        for eye in (0, 1):
            alike = torch.outer(a[eye], a[1 - eye]).softmax(1)
            mixed = (alike @ maps[b, eye].flatten(1)).unflatten(1, (7, 5))
            seen = torch.stack([mixed.mean(0), mixed.amax(0)])[None]
            place = m.place(seen)[0, 0]
            place = place.exp() / place.exp().sum()
            torch.testing.assert_close(m(maps)[b, eye], maps[b, eye] * (1 + place), rtol=1e-4, atol=1e-5)


def test_heads_cross_adds_what_the_other_eye_shows() -> None:
    m = scramble(HeadsCross(8, 2, 0.0))
    t = m.norm(PAIR.flatten(3).transpose(2, 3))
    query = m.cross.query(t)
    key, value = m.cross.key_value(t).chunk(2, 3)
    z = torch.zeros_like(query)
    for b, eye in ((0, 0), (0, 1), (1, 0), (1, 1)):
        z[b, eye] = attention(query[b, eye], key[b, 1 - eye], value[b, 1 - eye], 2)
    expected = PAIR + m.cross.out(z).transpose(2, 3).unflatten(3, (7, 5))
    torch.testing.assert_close(m(PAIR), expected, rtol=1e-4, atol=1e-4)


def test_cosine_map() -> None:
    expected = F.cosine_similarity(PAIR[:, 0], PAIR[:, 1], dim=1)
    torch.testing.assert_close(cosine_map(PAIR)[:, 0, 0], expected)
    torch.testing.assert_close(cosine_map(PAIR)[:, 1, 0], expected)


def test_dense_path_hands_on_all_earlier_maps() -> None:
    m = scramble(DensePath(8, 6, layers=2, growth=4))
    x = PAIR[:, 0]
    for layer, width in zip(m.layers, (8, 12), strict=True):
        norm1, _, conv1, norm2, _, conv3 = layer.children()
        narrow, wide = conv1.get_parameter("weight"), conv3.get_parameter("weight")
        assert narrow.shape == (16, width, 1, 1)
        assert wide.shape == (4, 16, 3, 3)
        hidden = norm2(F.conv2d(norm1(x).relu(), narrow)).relu()
        x = torch.cat([x, F.conv2d(hidden, wide, padding=1)], 1)
    norm, _, conv = m.leave
    expected = F.conv2d(norm(x).relu(), conv.get_parameter("weight"))
    torch.testing.assert_close(m(PAIR[:, 0]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("discrepancy", ["absolute", "signed", "cosine"])
def test_ccam_gates_by_differences(discrepancy: Discrepancy) -> None:
    m = scramble(Ccam(8, discrepancy, 2, 4))
    f, g = PAIR, torch.randn_like(PAIR)
    for eye in (0, 1):
        own, other = g[:, eye], g[:, 1 - eye]
        cosine = 1 - F.cosine_similarity(own, other, dim=1)[:, None]
        d = {"absolute": (own - other).abs(), "signed": own - other, "cosine": cosine}[discrepancy]
        expected = m.path(torch.cat([f[:, eye] * m.gate[1](m.gate[0](d)).sigmoid(), d], 1))
        torch.testing.assert_close(m(f, g)[:, eye], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("similarity", ["product", "cosine"])
def test_ciam_gates_by_similarities_and_keeps_a_residual(similarity: Similarity) -> None:
    m = scramble(Ciam(8, similarity, 2, 4))
    f, g = PAIR, torch.randn_like(PAIR)
    cosine = F.cosine_similarity(g[:, 0], g[:, 1], dim=1)[:, None]
    s = g[:, 0] * g[:, 1] if similarity == "product" else cosine
    for eye in (0, 1):
        expected = m.path(f[:, eye] * m.gate[1](m.gate[0](s)).sigmoid()) + f[:, eye]
        torch.testing.assert_close(m(f, g)[:, eye], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cafm", ["channel_spatial", "mhca", "none"])
@pytest.mark.parametrize(("combine", "width"), [("concat", 5), ("sum", 3), ("max", 3)])
def test_dual_synergy_lays_its_parts_side_by_side(
    cafm: Literal["channel_spatial", "mhca", "none"], combine: Literal["concat", "sum", "max"], width: int
) -> None:
    m = scramble(DualSynergy(8, 2, dim=8, heads=2, layers=1, growth=4, cafm=cafm, combine=combine))
    part = dict(m.named_children())
    f = torch.stack([part["reduce"](PAIR[:, eye]) for eye in (0, 1)], 1)
    g = part["cafm"](f)
    parts = [part["casfm"](PAIR)]
    for path in ("ccam", "ciam"):
        left, right = part[path](f, g).mean((3, 4)).unbind(1)
        joined = {"concat": torch.cat([left, right], 1), "sum": left + right, "max": left.maximum(right)}
        parts.append(joined[combine])
    torch.testing.assert_close(m(PAIR), torch.cat(parts, 1), rtol=1e-4, atol=1e-4)
    assert m.out_features == width * 8


@pytest.mark.parametrize(("off", "features"), [("casfm", 4), ("ccam", 3), ("ciam", 3)])
def test_the_switches_of_table_2_leave_a_part_out(off: str, features: int) -> None:
    m = build("fusion", {"name": "dual_synergy", "dim": 8, "heads": 2, off: False}, 8, 2).eval()
    assert isinstance(m, DualSynergy)
    assert m.out_features == features * 8
    assert m(PAIR).shape == (2, features * 8)
    assert not any(name.startswith(f"{off}.") for name, _ in m.named_parameters())
