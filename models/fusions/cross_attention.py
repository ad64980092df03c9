"""Cross-attention fusion: each eye's positions gather from the other eye before both are pooled.

Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2, with queries from one eye and keys and values from
the other.
Differs: There is one pre-norm layer, whose weights both eyes share, and no positional encoding, so eyes need
not face the same way.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Fusion
from models.fusions._cross import CrossAttention, feed_forward, tokens
from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average, pool_views


class CrossAttentionFusion(Fusion):
    """t = t + cross(LN t), t = t + MLP(LN t); z = [pool(t_l); pool(t_r)] or their sum."""

    def __init__(
        self,
        channels: int,
        num_views: int,
        *,
        dim: int = 256,
        heads: int = 8,
        dropout: float = 0.1,
        combine: Literal["concat", "sum"] = "concat",
    ) -> None:
        """Builds the layer.

        Args:
            channels: Channels of each eye's map.
            num_views: Must be 2.
            dim: Width of the tokens; `heads` divides it.
            heads: Number of attention heads.
            dropout: Share of attention weights and features set to 0 in training, in [0, 1).
            combine: How the vectors of both eyes are joined; `sum` makes the fusion symmetric.

        Raises:
            ValueError: There are not two views, the heads do not divide dim, or dropout lies outside its
                range.
        """
        super().__init__(out_features=dim if combine == "sum" else 2 * dim, symmetric=combine == "sum")
        require_pair("cross_attention", num_views)
        self.reduce = nn.Conv2d(channels, dim, 1)
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.cross = CrossAttention(dim, heads, dropout)
        self.mlp = feed_forward(dim, dropout)

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        size = maps.shape[3:]
        t = tokens(torch.unflatten(self.reduce(maps.flatten(0, 1)), 0, maps.shape[:2]))
        t = t + self.cross(self.norms[0](t))
        t = t + self.mlp(self.norms[1](t))
        eyes = pool_views(torch.unflatten(t.transpose(2, 3), 3, size), pool)
        return eyes.sum(1) if self.symmetric else eyes.flatten(1)
