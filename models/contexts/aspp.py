"""ASPP: 3x3 convolutions with several dilations side by side, and the map's mean.

Source: Chen et al. 2017, arXiv 1706.05587, section 3.3 (DeepLabv3).
Differs: Half of the channels come out, as in the other context modules, and the default rates fit a 7x7 map.
A dilation as large as the map leaves only the centre of the 3x3 kernel: 6, 12, 18 and 12, 24, 36 are made for
maps of 32 and more.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contexts._conv import conv_unit, halved
from models.contracts import Context


class Aspp(Context):
    """y = dropout(conv1x1([conv1x1(x); conv3x3_rate(x) for each rate; conv1x1(mean x)])).

    Each convolution has BN and ReLU.
    """

    def __init__(
        self,
        channels: int,
        *,
        rates: tuple[int, int, int] = (1, 2, 3),
        width: int = 256,
        dropout: float = 0.5,
    ) -> None:
        """Builds the branches.

        Args:
            channels: Channels of the map; half as many come out.
            rates: Dilation of each 3x3 branch, at least 1; 1, 2, 3 for a 7x7 map, 2, 4, 6 for 14x14.
            width: Channels of each branch, at least 1.
            dropout: Share of the output set to 0 in training, in [0, 1).

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__(out_channels=halved(channels))
        if min(*rates, width) < 1:
            raise ValueError(
                f"`context.aspp`: rates and width must be at least 1, got rates {rates} and width {width}. "
                "Try the rates 1, 2, 3."
            )
        self.own = conv_unit(channels, width)
        self.dilated = nn.ModuleList(conv_unit(channels, width, 3, rate) for rate in rates)
        self.mean = conv_unit(channels, width)
        self.leave = nn.Sequential(
            conv_unit(5 * width, self.out_channels), nn.Dropout(check_dropout(dropout))
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        mean = self.mean(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        y: Tensor = self.leave(torch.cat([self.own(x), *(branch(x) for branch in self.dilated), mean], 1))
        return y
