"""Absolute difference and sum of the two eyes: what differs between them, beside what they share.

Source: the symmetric pair features of siamese verification networks (Koch et al. 2015); `diff_sum` in the
DMS-Net notes.
Differs: The sum is added, since the difference alone does not show a disease that both eyes have.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from models.contracts import Fusion
from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average, pool_views


class Difference(Fusion):
    """z = [|l - r|; l + r], of vectors (`pooled`) or position by position before pooling (`feature_map`)."""

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Builds the fusion.

        Args:
            channels: Channels of each eye's map.
            num_views: Must be 2.
            level: What is compared: pooled vectors, or the maps at the same position, where the eyes should
                face the same way.

        Raises:
            ValueError: There are not two views.
        """
        super().__init__(out_features=2 * channels, symmetric=True, pools_first=level == "pooled")
        require_pair("difference", num_views)
        self.level = level

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        if self.level == "pooled":
            left, right = pool_views(maps, pool).unbind(1)
            return torch.cat([(left - right).abs(), left + right], 1)
        left, right = maps.unbind(1)
        return pool(torch.cat([(left - right).abs(), left + right], 1))
