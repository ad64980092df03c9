"""The channel gates of CBAM and of squeeze and excitation, with a sigmoid that cannot die.

The gate of a wide map needs batch norm before its sigmoid. The map is nowhere negative, so a step moves all
logits of a channel the same way: at usual learning rates a plain sigmoid is 0 or 1 for good, whatever the
image, within some hundred steps. In evaluation, batch norm is part of the last linear map before it.
"""

from timm.layers.cbam import ChannelAttn
from timm.layers.squeeze_excite import SEModule
from torch import nn

from models.gates import Gate


def reduced(channels: int, reduction: int) -> int:
    """max(1, channels / reduction), rounded down.

    Raises:
        ValueError: The reduction is below 1.
    """
    if reduction < 1:
        raise ValueError(
            f"`attention.reduction`: must be at least 1, got {reduction}. Papers use 16; 4 and 8 are common."
        )
    return max(1, channels // reduction)


def channel_gate(channels: int, reduction: int) -> ChannelAttn:
    """CBAM's channel gate: x·σ(BN(MLP(mean over positions) + MLP(max over positions)))."""
    block = ChannelAttn(channels, rd_channels=reduced(channels, reduction))
    block.gate = Gate(nn.BatchNorm2d(channels))
    return block


def squeeze_gate(channels: int, reduction: int) -> SEModule:
    """The gate of squeeze and excitation: x·σ(BN(MLP(mean over positions)))."""
    block = SEModule(channels, rd_channels=reduced(channels, reduction))
    block.gate = Gate(nn.BatchNorm2d(channels))
    return block
