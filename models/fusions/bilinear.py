"""Low-rank bilinear fusion: products of projected features of both eyes.

Source: Kim et al. 2017, arXiv 1610.04325 (low-rank bilinear pooling); signed root and length normalisation
after Lin et al. 2015.
Differs: Both eyes share one projection without non-linearity, which makes the product symmetric.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Fusion
from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average, pool_views


class Bilinear(Fusion):
    """z = unit(sign(s)·√|s|), s = U l ⊙ U r of vectors (`pooled`), or the pooled U l ⊙ U r of maps."""

    def __init__(
        self,
        channels: int,
        num_views: int,
        *,
        rank: int = 512,
        level: Literal["pooled", "feature_map"] = "feature_map",
    ) -> None:
        """Builds the projection.

        Args:
            channels: Channels of each eye's map.
            num_views: Must be 2.
            rank: Length of the product, at least 1.
            level: What is multiplied: pooled vectors, or the maps at the same position.

        Raises:
            ValueError: There are not two views, or the rank is below 1.
        """
        super().__init__(out_features=rank, symmetric=True, pools_first=level == "pooled")
        require_pair("bilinear", num_views)
        if rank < 1:
            raise ValueError(
                f"`fusion.bilinear.rank`: must be at least 1, got {rank}. 256 to 1024 are common."
            )
        self.level = level
        self.project = nn.Linear(channels, rank)

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        if self.level == "pooled":
            s = self.project(pool_views(maps, pool)).prod(1)
        else:
            s = pool(self.project(maps.movedim(2, -1)).prod(1).movedim(-1, 1))
        s = s.float()
        return F.normalize(s.sign() * (s.abs() + 1e-6).sqrt())
