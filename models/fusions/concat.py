"""Concatenation of the views.

Source: the default of the pair papers; SVK_MA (Tan et al. 2023), Algorithm 1.
Differs: nothing.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from models.poolings import Pool, global_average, pool_views


class Concat(nn.Module):
    """z = [pool(L); pool(R)] (`pooled`), or z = pool(ReLU(BN(conv1x1([L; R])))) (`feature_map`)."""

    symmetric = False

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Builds the fusion.

        Args:
            channels: of each view's map.
            num_views: 1 or 2.
            level: joins vectors, or maps, which are mixed position by position to `channels` before they are pooled.
        """
        super().__init__()
        self.level = level
        self.out_features = channels * num_views if level == "pooled" else channels
        mix = nn.Conv2d(channels * num_views, channels, 1, bias=False)
        self.mix = (
            nn.Sequential(mix, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            if level == "feature_map"
            else nn.Identity()
        )

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per sample."""
        if self.level == "pooled":
            return pool_views(maps, pool).flatten(1)
        return pool(self.mix(maps.flatten(1, 2)))
