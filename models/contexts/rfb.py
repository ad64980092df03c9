"""RFB: branches of growing kernel and dilation, as receptive fields grow with eccentricity.

Source: Liu, Huang and Wang 2018, arXiv 1711.07767, figure 4a; the widths are those of the authors' code.
Differs: Half of the channels come out, as in the other context modules.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit, halved
from models.contracts import Context


class Rfb(Context):
    """y = ReLU(s·conv1x1([branch_1; branch_2; branch_3]) + conv1x1(x)).

    The branches end in a 3x3 convolution with dilation 1, 2 and 3.
    """

    def __init__(self, channels: int, *, scale: float = 0.1) -> None:
        """Builds the branches.

        Args:
            channels: Channels of the map; half as many come out.
            scale: Factor s of the branches.
        """
        super().__init__(out_channels=halved(channels))
        self.scale = scale
        i = max(2, channels // 8)
        self.near = nn.Sequential(
            conv_unit(channels, 2 * i),
            conv_unit(2 * i, 2 * i, 3, 1, None),
        )
        self.middle = nn.Sequential(
            conv_unit(channels, i),
            conv_unit(i, 2 * i, 3),
            conv_unit(2 * i, 2 * i, 3, 2, None),
        )
        self.far = nn.Sequential(
            conv_unit(channels, i),
            conv_unit(i, 3 * i // 2, 3),
            conv_unit(3 * i // 2, 2 * i, 3),
            conv_unit(2 * i, 2 * i, 3, 3, None),
        )
        self.join = conv_unit(6 * i, self.out_channels, activation=None)
        self.shortcut = conv_unit(channels, self.out_channels, activation=None)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        branches = torch.cat([self.near(x), self.middle(x), self.far(x)], 1)
        return F.relu(self.scale * self.join(branches) + self.shortcut(x))
