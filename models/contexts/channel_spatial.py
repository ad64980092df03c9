"""The channel-gated map beside the spatially gated one.

Source: one reading of SVK_MA (Tan et al. 2023), whose "two features" before the nearest-neighbour classifier are not explained.
Differs: other readings are one gated map (`cbam`) or both branches of the siamese network (`concat`).
"""

from typing import Literal

import torch
from jaxtyping import Float
from timm.layers.cbam import ChannelAttn, SpatialAttn
from torch import Tensor, nn

from models.attentions._gates import reduced


class ChannelSpatial(nn.Module):
    """y = [x·M_c(x); x·M_s(x)], the gates of CBAM."""

    def __init__(self, channels: int, *, reduction: int = 16, kernel: Literal[3, 5, 7] = 7) -> None:
        """Builds both gates.

        Args:
            channels: of the map; twice as many come out.
            reduction: the channel gate's hidden layer has channels / reduction units, at least one.
            kernel: side of the spatial gate's convolution.

        Raises:
            ValueError: reduction below 1.
        """
        super().__init__()
        self.out_channels = 2 * channels
        self.channel = ChannelAttn(channels, rd_channels=reduced(channels, reduction))
        self.spatial = SpatialAttn(kernel)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """Both gated maps."""
        return torch.cat([self.channel(x), self.spatial(x)], 1)
