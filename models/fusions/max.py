"""Maximum over the views: a sign of disease in either eye is enough.

Source: max fusion, as in multi-view networks (Su et al. 2015, arXiv 1505.00880).
Differs: nothing.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from models.contracts import Fusion
from models.poolings import Pool, global_average, pool_views


class Max(Fusion):
    """z = max over views of pool(x_v) (`pooled`), or z = pool(max over views of x_v) (`feature_map`)."""

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Sets the level.

        Args:
            channels: Channels of each view's map.
            num_views: 1 or 2.
            level: What is compared: pooled vectors, or the maps at the same position.
        """
        super().__init__(out_features=channels, symmetric=True, pools_first=level == "pooled")
        self.level = level

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each sample."""
        return pool_views(maps, pool).amax(1) if self.level == "pooled" else pool(maps.amax(1))
