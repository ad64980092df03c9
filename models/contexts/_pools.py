"""The pyramid of stride-one max pools that SPP, SPPF and SimSPPF share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit


class PoolPyramid(nn.Module):
    """y = unit([u; pool_1; pool_2; pool_3]) with u = unit(x), where a unit is conv1x1-BN-activation to half the channels.

    Pools keep the map's size. `chained` pools pool what the one before gave, the others pool u.
    """

    def __init__(
        self, channels: int, kernels: tuple[int, int, int], chained: bool, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.out_channels = max(1, channels // 2)
        self.kernels, self.chained = kernels, chained
        self.enter = conv_unit(channels, self.out_channels, activation=activation)
        self.leave = conv_unit(4 * self.out_channels, self.out_channels, activation=activation)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        maps: list[Tensor] = [self.enter(x)]
        for kernel in self.kernels:
            maps.append(F.max_pool2d(maps[-1] if self.chained else maps[0], kernel, 1, kernel // 2))
        y: Tensor = self.leave(torch.cat(maps, 1))
        return y
