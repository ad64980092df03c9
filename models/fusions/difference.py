"""Absolute difference and sum of the two eyes: what sets them apart beside what they share.

Source: the symmetric pair features of siamese verification networks (Koch et al. 2015); `diff_sum` in the DMS-Net notes.
Differs: the sum stands beside the difference, which alone forgets a disease that both eyes have.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average, pool_views


class Difference(nn.Module):
    """z = [|l - r|; l + r], of vectors (`pooled`) or position by position before pooling (`feature_map`)."""

    symmetric = True

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Builds the fusion.

        Args:
            channels: of each eye's map.
            num_views: must be 2.
            level: compares pooled vectors, or the maps at the same position (which presumes eyes in the same orientation).

        Raises:
            ValueError: one view.
        """
        super().__init__()
        require_pair("difference", num_views)
        self.level = level
        self.out_features = 2 * channels

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per pair, the same when the eyes are swapped."""
        if self.level == "pooled":
            left, right = pool_views(maps, pool).unbind(1)
            return torch.cat([(left - right).abs(), left + right], 1)
        left, right = maps.unbind(1)
        return pool(torch.cat([(left - right).abs(), left + right], 1))
