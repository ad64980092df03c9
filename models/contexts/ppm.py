"""PPM: the map beside its averages over grids of 1, 2, 3 and 6 cells a side.

Source: Zhao et al. 2017, arXiv 1612.01105, section 3.2 (PSPNet).
Differs: A 1x1 convolution joins the branches to half of the channels, where PSPNet has a 3x3 convolution.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit, halved
from models.contracts import Context

GRIDS = (1, 2, 3, 6)


class Ppm(Context):
    """y = conv1x1([x; resize(conv1x1(average to k x k)) for k = 1, 2, 3, 6]), conv with BN and ReLU."""

    def __init__(self, channels: int) -> None:
        """Builds the branches, each with a quarter of the channels.

        Args:
            channels: Channels of the map; half as many come out.
        """
        super().__init__(out_channels=halved(channels))
        quarter = max(1, channels // 4)
        self.branches = nn.ModuleList(conv_unit(channels, quarter) for _ in GRIDS)
        self.join = conv_unit(channels + 4 * quarter, self.out_channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        pooled = [branch(F.adaptive_avg_pool2d(x, k)) for k, branch in zip(GRIDS, self.branches, strict=True)]
        resized = [F.interpolate(part, x.shape[2:], mode="bilinear") for part in pooled]
        y: Tensor = self.join(torch.cat([x, *resized], 1))
        return y
