"""Each context module against its formula, recomputed slowly."""

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from models.attentions._mirror import Projection
from models.contexts.aspp import Aspp
from models.contexts.channel_spatial import ChannelSpatial
from models.contexts.none import NoContext
from models.contexts.osim import Osim
from models.contexts.osim_per_eye import OsimPerEye
from models.contexts.ppm import Ppm
from models.contexts.rfb import Rfb
from models.contexts.self_attention import SelfAttention
from models.contexts.simsppf import SimSppf
from models.contexts.spp import Spp
from models.contexts.sppf import Sppf
from tests.models.parts import conv_and_norm, scramble

torch.set_num_threads(1)
torch.manual_seed(0)
X = torch.randn(3, 16, 7, 9)


def grid_average(x: Tensor, k: int) -> Tensor:
    """Mean over each cell of a k x k grid; cell i spans floor(i·n/k) to ceil((i+1)·n/k)."""
    h, w = x.shape[2:]
    y = torch.empty(*x.shape[:2], k, k)
    for i in range(k):
        for j in range(k):
            y[:, :, i, j] = x[
                :, :, i * h // k : -(-(i + 1) * h // k), j * w // k : -(-(j + 1) * w // k)
            ].mean((2, 3))
    return y


def resize(x: Tensor, h: int, w: int) -> Tensor:
    """Bilinear, pixel by pixel, with centres at half."""
    y = torch.empty(*x.shape[:2], h, w)
    for i in range(h):
        for j in range(w):
            a = min(max((i + 0.5) * x.shape[2] / h - 0.5, 0), x.shape[2] - 1)
            b = min(max((j + 0.5) * x.shape[3] / w - 0.5, 0), x.shape[3] - 1)
            i0, j0 = int(a), int(b)
            i1, j1 = min(i0 + 1, x.shape[2] - 1), min(j0 + 1, x.shape[3] - 1)
            top = x[:, :, i0, j0] * (1 - b + j0) + x[:, :, i0, j1] * (b - j0)
            low = x[:, :, i1, j0] * (1 - b + j0) + x[:, :, i1, j1] * (b - j0)
            y[:, :, i, j] = top * (1 - a + i0) + low * (a - i0)
    return y


def test_none_is_the_identity() -> None:
    assert NoContext(16)(X) is X
    assert NoContext(16).out_channels == 16


@pytest.mark.parametrize("mode", ["output_size", "window"])
def test_osim_concatenates_five_maps_and_gates_them(mode: Literal["output_size", "window"]) -> None:
    module = scramble(Osim(16, scale_mode=mode, kernel=3))
    coarse = [grid_average(X, k) if mode == "output_size" else F.avg_pool2d(X, k) for k in (2, 4)]
    coarse += [X.amax((2, 3), keepdim=True), X.mean((2, 3), keepdim=True)]
    two, four, largest, mean = (resize(part, 7, 9) for part in coarse)
    wide = torch.cat([X, largest, mean, two, four], 1)
    assert wide.shape[1] == 5 * 16
    f = module.norm(F.conv2d(wide, module.reduce.weight)).relu()
    gate = fuse_conv_bn_eval(*conv_and_norm(module.gate))(
        f
    ).sigmoid()  # one convolution, as equation 7 has it
    assert 0 < gate.min() < gate.max() < 1
    torch.testing.assert_close(module(X), f * gate, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lr", [2e-5, 5e-4, 1e-2])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_the_gate_of_osim_stays_alive_at_every_rate_of_the_study_files(
    kernel: Literal[1, 3, 7], lr: float
) -> None:
    torch.manual_seed(0)
    module, head, channels = Osim(256, kernel=kernel), nn.Linear(128, 4), torch.randn(4, 256)
    adam = torch.optim.AdamW([*module.parameters(), *head.parameters()], lr=lr)
    gates: list[Tensor] = []
    module.gate.register_forward_hook(lambda _module, _maps, y: gates.append(y.detach()))
    for _ in range(60):
        x = torch.randn(8, 256, 7, 7).relu()
        target = (torch.einsum("bchw,lc->bl", x, channels) > 0).float()
        loss = F.binary_cross_entropy_with_logits(head(module(x).mean((2, 3))), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
    module.eval()
    module(torch.randn(32, 256, 7, 7).relu())
    saturated = (gates[-1] < 0.01) | (gates[-1] > 0.99)
    assert saturated.float().mean() < 0.05
    assert gates[-1].std() > 0.05  # and it says different things of different positions


def test_osim_windows_of_four_on_seven_positions_are_one_cell() -> None:
    module = Osim(16, scale_mode="window")
    x = torch.randn(2, 16, 7, 7)
    torch.testing.assert_close(module._pool(x, 4), x[:, :, :4, :4].mean((2, 3), keepdim=True))


def test_osim_per_eye_bypasses_and_shares() -> None:
    pair = torch.randn(2, 2, 16, 5, 5)
    left_only = scramble(OsimPerEye(16, eyes="left"))
    assert isinstance(left_only.left, Osim)
    torch.testing.assert_close(left_only(pair)[:, 0], left_only.left(pair[:, 0]))
    torch.testing.assert_close(left_only(pair)[:, 1], left_only.right(pair[:, 1]))
    conv, norm = conv_and_norm(left_only.right)
    torch.testing.assert_close(left_only.right(pair[:, 1]), norm(F.conv2d(pair[:, 1], conv.weight)).relu())
    one, two = OsimPerEye(16, share=True), OsimPerEye(16)
    assert one.left is one.right
    assert sum(p.numel() for p in two.parameters()) == 2 * sum(p.numel() for p in one.parameters())


def test_sppf_is_spp_exactly() -> None:
    spp, sppf = scramble(Spp(16)), Sppf(16).eval()
    sppf.load_state_dict(spp.state_dict())
    torch.testing.assert_close(sppf(X), spp(X), rtol=0, atol=0)


@pytest.mark.parametrize(("make", "activation"), [(Spp, F.silu), (SimSppf, F.relu)])
def test_spp_pools_windows_of_5_9_13(
    make: type[Spp | SimSppf], activation: Callable[[Tensor], Tensor]
) -> None:
    module = scramble(make(16)).pyramid

    def unit(layers: nn.Sequential, x: Tensor) -> Tensor:
        conv, norm = conv_and_norm(layers)
        return activation(norm(F.conv2d(x, conv.weight)))

    u = unit(module.enter, X)
    maps = [u]
    for side in (2, 4, 6):
        pooled = torch.empty_like(u)
        for i in range(7):
            for j in range(9):
                rows, columns = slice(max(0, i - side), i + side + 1), slice(max(0, j - side), j + side + 1)
                pooled[:, :, i, j] = u[:, :, rows, columns].amax((2, 3))
        maps.append(pooled)
    assert make(16).out_channels == 8
    torch.testing.assert_close(module(X), unit(module.leave, torch.cat(maps, 1)), rtol=1e-4, atol=1e-4)


def test_aspp_branches() -> None:
    module = scramble(Aspp(16, rates=(1, 2, 3), width=6))
    maps = [module.own(X)]
    for rate, branch in zip((1, 2, 3), module.dilated, strict=True):
        conv, norm = conv_and_norm(branch)
        padded = F.pad(X, [rate] * 4)
        taps = torch.zeros(3, 6, 7, 9)
        for a in range(3):
            for b in range(3):
                shifted = padded[:, :, a * rate : a * rate + 7, b * rate : b * rate + 9]
                taps += F.conv2d(shifted, conv.weight[:, :, a, b, None, None])
        maps.append(norm(taps).relu())
    maps.append(module.mean(X.mean((2, 3), keepdim=True)).repeat(1, 1, 7, 9))
    conv, norm = conv_and_norm(module.leave[0])
    torch.testing.assert_close(
        module(X), norm(F.conv2d(torch.cat(maps, 1), conv.weight)).relu(), rtol=1e-4, atol=1e-4
    )


def test_an_aspp_dilation_beyond_the_map_leaves_the_centre_tap() -> None:
    module = scramble(Aspp(16, rates=(9, 12, 18), width=6))
    for branch in module.dilated:
        conv, norm = conv_and_norm(branch)
        expected = norm(F.conv2d(X, conv.weight[:, :, 1:2, 1:2])).relu()
        torch.testing.assert_close(nn.Sequential(conv, norm, nn.ReLU())(X), expected, rtol=1e-4, atol=1e-5)


def test_rfb_scales_its_branches_and_adds_a_shortcut() -> None:
    module = scramble(Rfb(16, scale=0.3))
    last = [conv_and_norm(branch[-1])[0] for branch in (module.near, module.middle, module.far)]
    assert [conv.dilation[0] for conv in last] == [1, 2, 3]
    y = X
    for unit in module.far:
        conv, norm = conv_and_norm(unit)
        side = conv.kernel_size[0] // 2 * conv.dilation[0]
        y = norm(F.conv2d(F.pad(y, [side] * 4), conv.weight, dilation=conv.dilation))
        y = y.relu() if unit is not module.far[-1] else y
    joined = module.join(torch.cat([module.near(X), module.middle(X), y], 1))
    torch.testing.assert_close(module(X), (0.3 * joined + module.shortcut(X)).relu(), rtol=1e-4, atol=1e-4)


def test_ppm_resizes_four_grids() -> None:
    module = scramble(Ppm(16))
    maps = [X]
    for k, branch in zip((1, 2, 3, 6), module.branches, strict=True):
        conv, norm = conv_and_norm(branch)
        maps.append(resize(norm(F.conv2d(grid_average(X, k), conv.weight)).relu(), 7, 9))
    conv, norm = conv_and_norm(module.join)
    torch.testing.assert_close(
        module(X), norm(F.conv2d(torch.cat(maps, 1), conv.weight)).relu(), rtol=1e-4, atol=1e-4
    )


def test_channel_and_spatial_gates_stand_side_by_side() -> None:
    module = scramble(ChannelSpatial(16))
    torch.testing.assert_close(module(X), torch.cat([module.channel(X), module.spatial(X)], 1))
    assert module.out_channels == 32


def test_self_attention_gathers_from_the_whole_map() -> None:
    module = scramble(SelfAttention(16))

    def theta(projection: Projection) -> Tensor:
        conv, norm = conv_and_norm(projection.net)
        y: Tensor = norm(conv(X)).clamp(min=0)
        return y.flatten(2)

    query, key, value = theta(module.query), theta(module.branch.key), module.branch.value(X).flatten(2)
    gathered = torch.zeros_like(value)
    for j in range(63):
        logits = (key * query[:, :, j : j + 1]).sum(1) / math.sqrt(8)
        gathered[:, :, j] = (value * logits.softmax(1)[:, None]).sum(2)
    expected = X + module.branch.out(gathered.unflatten(2, (7, 9)))
    torch.testing.assert_close(module(X), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(SelfAttention(16)(X), X, rtol=0, atol=0)
