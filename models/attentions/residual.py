"""RAM: a residual bottleneck whose branch is gated by channel, then by position.

Source: BFPC-Net (Li et al. 2022) names a residual attention; its form was read in an independent
reimplementation only.
Differs: unknown for that reason. To put it in the place of the last ResNet stage, drop that stage
(`backbone.drop_stages: 1`).
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from models.attentions._gates import reduced, squeeze_gate
from models.contracts import Attention
from models.gates import Gate


class Residual(Attention):
    """y = ReLU(x + M_s(M_c(B(x)))), B = BN(1x1)-ReLU-BN(3x3)-ReLU-BN(1x1).

    M_c is the gate of `se`, M_s that of `spatial`.
    """

    def __init__(
        self, channels: int, *, reduction: int = 16, kernel: Literal[3, 5, 7] = 7, squeeze: int = 4
    ) -> None:
        """Builds the branch with its gates.

        Args:
            channels: Channels of the map.
            reduction: The hidden layer of the channel gate has channels / reduction units, at least one.
            kernel: Side of the spatial gate's convolution.
            squeeze: The bottleneck has channels / squeeze channels, at least one.

        Raises:
            ValueError: The reduction or the squeeze is below 1.
        """
        super().__init__()
        width = reduced(channels, squeeze)
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels),
            squeeze_gate(channels, reduction),
            SpatialAttn(kernel, gate_layer=Gate),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map with the gated branch added."""
        return F.relu(x + self.branch(x))
