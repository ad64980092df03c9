"""The pyramid of max pools with stride one, for the contexts `spp`, `sppf` and `simsppf`."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit, halved


class PoolPyramid(nn.Module):
    """y = unit([u; pool_1; pool_2; pool_3]) with u = unit(x).

    A unit is conv1x1-BN-activation to half the channels. Pools keep the map's size. Chained pools pool the
    map of the pool before, the others pool u.
    """

    def __init__(
        self, channels: int, kernels: tuple[int, int, int], *, chained: bool, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        half = halved(channels)
        self.kernels, self.chained = kernels, chained
        self.enter = conv_unit(channels, half, activation=activation)
        self.leave = conv_unit(4 * half, half, activation=activation)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        maps: list[Tensor] = [self.enter(x)]
        for kernel in self.kernels:
            maps.append(F.max_pool2d(maps[-1] if self.chained else maps[0], kernel, 1, kernel // 2))
        y: Tensor = self.leave(torch.cat(maps, 1))
        return y
