"""The map gated by channel, beside the map gated by position.

Source: one reading of SVK_MA (Tan et al. 2023), whose "two features" before the nearest-neighbour classifier
are not explained.
Differs: unknown for that reason. Other readings are one map with both gates (`cbam`) or both branches of the
siamese network (`concat`). The gates are those of the attentions `channel` and `spatial`.
"""

from typing import Literal

import torch
from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor

from models.attentions._gates import channel_gate
from models.contracts import Context
from models.gates import Gate


class ChannelSpatial(Context):
    """y = [x·M_c(x); x·M_s(x)], the gates of `cbam`."""

    def __init__(self, channels: int, *, reduction: int = 16, kernel: Literal[3, 5, 7] = 7) -> None:
        """Builds both gates.

        Args:
            channels: Channels of the map; twice as many come out.
            reduction: The hidden layer of the channel gate has channels / reduction units, at least one.
            kernel: Side of the spatial gate's convolution.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__(out_channels=2 * channels)
        self.channel = channel_gate(channels, reduction)
        self.spatial = SpatialAttn(kernel, gate_layer=Gate)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """Both gated maps, one after the other."""
        return torch.cat([self.channel(x), self.spatial(x)], 1)
