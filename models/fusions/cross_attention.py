"""Cross-attention fusion: each eye's positions gather from the other eye before both are pooled.

Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2, with queries from one eye and keys and values from the other.
Differs: one pre-norm layer whose weights both eyes share; no positional encoding, so eyes need not face the same way.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fusions._cross import CrossAttention, feed_forward, tokens
from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average, pool_views


class CrossAttentionFusion(nn.Module):
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
            channels: of each eye's map.
            num_views: must be 2.
            dim: width of the tokens; `heads` divides it.
            heads: number of attention heads.
            dropout: share of attention weights and features set to 0 while training, in [0, 1).
            combine: how both eyes' vectors are joined; `sum` makes the fusion symmetric.

        Raises:
            ValueError: one view, heads that do not divide dim, or dropout outside its range.
        """
        super().__init__()
        require_pair("cross_attention", num_views)
        self.symmetric = combine == "sum"
        self.out_features = dim if self.symmetric else 2 * dim
        self.reduce = nn.Conv2d(channels, dim, 1)
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.cross = CrossAttention(dim, heads, dropout)
        self.mlp = feed_forward(dim, dropout)

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per pair."""
        size = maps.shape[3:]
        t = tokens(torch.unflatten(self.reduce(maps.flatten(0, 1)), 0, maps.shape[:2]))
        t = t + self.cross(self.norms[0](t))
        t = t + self.mlp(self.norms[1](t))
        eyes = pool_views(torch.unflatten(t.transpose(2, 3), 3, size), pool)
        return eyes.sum(1) if self.symmetric else eyes.flatten(1)
