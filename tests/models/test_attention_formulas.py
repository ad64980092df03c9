"""Each attention against its formula, recomputed slowly."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attentions._mirror import MirrorBranch, Norm, Projection, ValueFrom
from models.attentions.cbam import Cbam
from models.attentions.channel import Channel
from models.attentions.coordinate import Coordinate
from models.attentions.eca import EfficientChannel
from models.attentions.mirror import Mirror
from models.attentions.mirror_binocular import MirrorBinocular
from models.attentions.none import NoAttention
from models.attentions.parallel import Parallel
from models.attentions.residual import Residual
from models.attentions.se import SqueezeExcitation
from models.attentions.spatial import Spatial
from models.attentions.spatial_channel import SpatialChannel
from models.contexts.mirror import MirrorPair
from models.contracts import Attention
from tests.models.parts import conv_and_norm, scramble

torch.set_num_threads(1)
torch.manual_seed(0)
X = torch.randn(3, 16, 4, 5)


def norm(x: Tensor, bn: nn.BatchNorm2d) -> Tensor:
    """Batch norm in evaluation mode, channel by channel."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    y = torch.empty_like(x)
    for c in range(x.shape[1]):
        standard = (x[:, c] - bn.running_mean[c]) / math.sqrt(bn.running_var[c] + bn.eps)
        y[:, c] = standard * bn.weight[c] + bn.bias[c]
    return y


def channel_gate(x: Tensor, gate: nn.Module) -> Tensor:
    first, second = (gate.get_parameter(f"{layer}.weight")[:, :, 0, 0] for layer in ("fc1", "fc2"))

    def mlp(v: Tensor) -> Tensor:
        return second @ (first @ v).clamp(min=0)

    logits = torch.stack([mlp(sample.mean((1, 2))) + mlp(sample.amax((1, 2))) for sample in x])
    return (1 / (1 + torch.exp(-normed(logits, gate))))[:, :, None, None]


def normed(logits: Tensor, gate: nn.Module) -> Tensor:
    """The logits of a channel gate, "b c", through the batch norm before its sigmoid."""
    bn = gate.get_submodule("gate.0")
    assert isinstance(bn, nn.BatchNorm2d)
    return norm(logits[:, :, None, None], bn)[:, :, 0, 0]


def spatial_gate(x: Tensor, gate: nn.Module) -> Tensor:
    conv, bn = conv_and_norm(gate.get_submodule("conv"))
    side = conv.weight.shape[-1]
    both = F.pad(torch.stack([x.mean(1), x.amax(1)], 1), [side // 2] * 4)
    out = torch.zeros(len(x), 1, *x.shape[2:])
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = both[:, :, i : i + side, j : j + side]
            out[:, 0, i, j] = (window * conv.weight[0]).sum((1, 2, 3))
    return norm(out, bn).sigmoid()


def test_none_is_the_identity() -> None:
    assert NoAttention(16)(X) is X


def test_channel_spatial_and_their_orders() -> None:
    channel, spatial = scramble(Channel(16, reduction=4)), scramble(Spatial(16, kernel=3))
    torch.testing.assert_close(channel(X), X * channel_gate(X, channel.gate))
    torch.testing.assert_close(spatial(X), X * spatial_gate(X, spatial.gate))
    both = scramble(Parallel(16, reduction=4))
    torch.testing.assert_close(
        both(X), X * (channel_gate(X, both.channel) + spatial_gate(X, both.spatial)) / 2
    )
    first = scramble(SpatialChannel(16, reduction=4))
    y = X * spatial_gate(X, first.gates[0])
    torch.testing.assert_close(first(X), y * channel_gate(y, first.gates[1]))


@pytest.mark.parametrize(
    "make",
    [Cbam, lambda c, **a: SpatialChannel(c, order="channel_spatial", **a)],
    ids=["cbam", "channel_spatial"],
)
def test_cbam_gates_channels_then_positions(make: Callable[..., Attention]) -> None:
    module = scramble(make(16, reduction=4, kernel=5))
    (gates,) = module.children()
    channel, spatial = gates.children()
    assert channel.get_parameter("fc1.weight").shape[0] == 4
    y = X * channel_gate(X, channel)
    torch.testing.assert_close(module(X), y * spatial_gate(y, spatial))


def test_squeeze_excitation() -> None:
    module = scramble(SqueezeExcitation(16, reduction=4))
    weights = [module.gate.get_parameter(f"{layer}.weight")[:, :, 0, 0] for layer in ("fc1", "fc2")]
    biases = [module.gate.get_parameter(f"{layer}.bias") for layer in ("fc1", "fc2")]
    hidden = (X.mean((2, 3)) @ weights[0].T + biases[0]).clamp(min=0)
    gate = normed(hidden @ weights[1].T + biases[1], module.gate).sigmoid()
    torch.testing.assert_close(module(X), X * gate[:, :, None, None])


@pytest.mark.parametrize(("channels", "kernel"), [(16, 3), (64, 3), (256, 5), (2048, 7)])
def test_eca_kernel_grows_with_the_channels(channels: int, kernel: int) -> None:
    t = int(abs(math.log2(channels) + 1) / 2)
    assert kernel == max(3, t if t % 2 else t + 1)
    module = scramble(EfficientChannel(channels))
    x = torch.randn(2, channels, 3, 3)
    weight = module.gate.conv.weight[0, 0]
    assert len(weight) == kernel
    mean = F.pad(x.mean((2, 3)), [kernel // 2] * 2)
    gate = torch.stack([(mean[:, c : c + kernel] * weight).sum(1) for c in range(channels)], 1).sigmoid()
    torch.testing.assert_close(module(x), x * gate[:, :, None, None])


def test_coordinate_attention() -> None:
    module = scramble(Coordinate(16, reduction=2))
    g = module.gate

    def hidden(mean: Tensor) -> Tensor:
        assert isinstance(g.bn1, nn.BatchNorm2d)
        y = norm(F.conv2d(mean, g.conv1.weight, g.conv1.bias), g.bn1)
        return y * (y + 3).clamp(0, 6) / 6

    rows, columns = hidden(X.mean(3, keepdim=True)), hidden(X.mean(2, keepdim=True))
    row_gate = F.conv2d(rows, g.conv_h.weight, g.conv_h.bias).sigmoid()
    column_gate = F.conv2d(columns, g.conv_w.weight, g.conv_w.bias).sigmoid()
    torch.testing.assert_close(module(X), X * row_gate * column_gate)


def test_residual_attention_gates_the_branch_only() -> None:
    module = scramble(Residual(16, reduction=4, squeeze=2))
    conv1, bn1 = conv_and_norm(module.branch[:2])
    conv2, bn2 = conv_and_norm(module.branch[3:5])
    conv3, bn3 = conv_and_norm(module.branch[6:8])
    se, spatial = module.branch[8:]
    y = norm(F.conv2d(X, conv1.weight), bn1).relu()
    y = norm(F.conv2d(y, conv2.weight, padding=1), bn2).relu()
    y = se(norm(F.conv2d(y, conv3.weight), bn3))
    torch.testing.assert_close(module(X), (X + y * spatial_gate(y, spatial)).relu())


def gathered(
    branch: MirrorBranch,
    query: Projection,
    x: Tensor,
    mirrored: Tensor,
    norm_over: Norm,
    value_from: ValueFrom,
) -> Tensor:
    """y_j = x_j + W Σ_i g_i A_ij, position by position."""

    def theta(projection: Projection, m: Tensor) -> Tensor:
        conv, bn = conv_and_norm(projection.net)
        return norm(F.conv2d(m, conv.weight), bn).relu().flatten(2)

    q, k = theta(query, x), theta(branch.key, mirrored)
    source = mirrored if value_from == "mirror" else x
    g = F.conv2d(source, branch.value.weight, branch.value.bias).flatten(2)
    scores = torch.einsum("bci,bcj->bij", k, q) / math.sqrt(q.shape[1])
    weights = scores.softmax(1 if norm_over == "cols" else 2)
    y = torch.zeros_like(g)
    for j in range(g.shape[2]):
        for i in range(g.shape[2]):
            y[:, :, j] += g[:, :, i] * weights[:, i, j, None]
    return x + F.conv2d(y.unflatten(2, x.shape[2:]), branch.out.weight, branch.out.bias)


@pytest.mark.parametrize("norm_over", ["cols", "rows"])
@pytest.mark.parametrize("value_from", ["original", "mirror"])
def test_mirror_attention_gathers_from_both_flips(norm_over: Norm, value_from: ValueFrom) -> None:
    module = scramble(Mirror(16, norm=norm_over, value_from=value_from))
    views = module.views
    across = gathered(views.horizontal, views.query, X, X.flip(3), norm_over, value_from)
    down = gathered(views.vertical, views.query, X, X.flip(2), norm_over, value_from)
    torch.testing.assert_close(module(X), (across + down) / 2, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(module(X, X.flip(3), X.flip(2)), module(X))
    pair = MirrorPair(16, norm=norm_over, value_from=value_from).eval()
    pair.load_state_dict(module.state_dict())
    torch.testing.assert_close(pair(X), torch.cat([across, down], 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("norm_over", ["cols", "rows"])
def test_binocular_mirror_gathers_from_the_fellow_eye(norm_over: Norm, flip: bool) -> None:
    module = scramble(MirrorBinocular(16, norm=norm_over, flip=flip))
    left, right = torch.randn(2, 3, 16, 4, 5)
    turned = [eye.flip(3) if flip else eye for eye in (right, left)]
    expected = [
        gathered(module.branch, module.query, eye, fellow, norm_over, "mirror")
        for eye, fellow in zip((left, right), turned, strict=True)
    ]
    found = module(torch.stack([left, right], 1))
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "module",
    [Mirror(16), Mirror(16, norm="rows"), Mirror(16, value_from="mirror")],
    ids=["cols", "rows", "mirror"],
)
def test_mirror_attention_starts_as_the_identity(module: Mirror) -> None:
    torch.testing.assert_close(module(X), X, rtol=0, atol=0)
    pair = X[:2].unsqueeze(1).expand(-1, 2, -1, -1, -1)
    torch.testing.assert_close(MirrorBinocular(16)(pair), pair, rtol=0, atol=0)
    torch.testing.assert_close(MirrorPair(16)(X), torch.cat([X, X], 1), rtol=0, atol=0)


@pytest.mark.parametrize("norm_over", ["cols", "rows"])
@pytest.mark.parametrize("axis", [2, 3])
def test_mirror_attention_commutes_with_flips(norm_over: Norm, axis: int) -> None:
    module = scramble(Mirror(16, norm=norm_over))
    torch.testing.assert_close(module(X.flip(axis)), module(X).flip(axis), rtol=1e-4, atol=1e-5)
