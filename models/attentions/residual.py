"""RAM: a residual bottleneck whose branch is gated by channel, then by position.

Source: BFPC-Net (Li et al. 2022) names a residual attention; its form was read in an independent reimplementation only.
Differs: unknown for that reason. To let it stand for the last ResNet stage, drop that stage (`backbone.drop_stages: 1`).
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from models.attentions._gates import reduced


class Residual(nn.Module):
    """y = ReLU(x + M_s(M_c(B(x)))), B = BN(1x1)-ReLU-BN(3x3)-ReLU-BN(1x1), M_c as in `se`, M_s as in `spatial`."""

    def __init__(
        self, channels: int, *, reduction: int = 16, kernel: Literal[3, 5, 7] = 7, squeeze: int = 4
    ) -> None:
        """Builds branch and gates.

        Args:
            channels: of the map.
            reduction: the channel gate's hidden layer has channels / reduction units, at least one.
            kernel: side of the spatial gate's convolution.
            squeeze: the bottleneck has channels / squeeze channels, at least one.

        Raises:
            ValueError: reduction or squeeze below 1.
        """
        super().__init__()
        width = reduced(channels, squeeze)
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels),
            SEModule(channels, rd_channels=reduced(channels, reduction)), SpatialAttn(kernel),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map with the gated branch added."""
        return F.relu(x + self.branch(x))
