"""Concatenation of the views.

Source: the default of the pair papers; SVK_MA (Tan et al. 2023), Algorithm 1.
Differs: nothing.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Fusion
from models.poolings import Pool, global_average, pool_views


class Concat(Fusion):
    """z = [pool(L); pool(R)] (`pooled`), or z = pool(ReLU(BN(conv1x1([L; R])))) (`feature_map`)."""

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Builds the fusion.

        Args:
            channels: Channels of each view's map.
            num_views: 1 or 2.
            level: What is concatenated: vectors, or maps, which are mixed to `channels` position by position
                and then pooled.
        """
        wide = channels * num_views
        super().__init__(
            out_features=wide if level == "pooled" else channels,
            symmetric=False,
            pools_first=level == "pooled",
        )
        self.level = level
        # made in both cases: it draws random numbers, and the start of all later parts depends on them
        mix = nn.Conv2d(wide, channels, 1, bias=False)
        self.mix = (
            nn.Sequential(mix, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            if level == "feature_map"
            else nn.Identity()
        )

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each sample."""
        if self.level == "pooled":
            return pool_views(maps, pool).flatten(1)
        return pool(self.mix(maps.flatten(1, 2)))
