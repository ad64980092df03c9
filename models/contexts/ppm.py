"""PPM: the map beside its averages over grids of 1, 2, 3 and 6 cells a side.

Source: Zhao et al. 2017, arXiv 1612.01105, section 3.2 (PSPNet).
Differs: a 1x1 convolution joins the branches to half of the channels, where PSPNet takes 3x3.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit

GRIDS = (1, 2, 3, 6)


class Ppm(nn.Module):
    """y = conv1x1([x; resize(conv1x1(average to k x k)) for k = 1, 2, 3, 6]), conv with BN and ReLU."""

    def __init__(self, channels: int) -> None:
        """Builds the branches, each with a quarter of the channels.

        Args:
            channels: of the map; half as many come out.
        """
        super().__init__()
        self.out_channels = max(1, channels // 2)
        quarter = max(1, channels // 4)
        self.branches = nn.ModuleList(conv_unit(channels, quarter) for _ in GRIDS)
        self.join = conv_unit(channels + 4 * quarter, self.out_channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        pooled = [branch(F.adaptive_avg_pool2d(x, k)) for k, branch in zip(GRIDS, self.branches, strict=True)]
        y: Tensor = self.join(
            torch.cat([x, *(F.interpolate(p, x.shape[2:], mode="bilinear") for p in pooled)], 1)
        )
        return y
