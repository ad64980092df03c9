"""CASFM: both eyes exchange what they see on a coarse grid, then their maps are joined.

Source: DMS-Net (Huo et al. 2025, arXiv 2504.18046v2), equations 8 to 13. Where they are silent (heads, norms,
feed-forward part, resizing), the structure is that of the dual-modality block that they follow (Shen et al.
2023, arXiv 2308.07504).
Differs: The factor 1/k² of equation 8 is already inside an average; `literal_scale` brings it back for
average and maximum. The position of equation 10 is interpolated from a 1x1 map, which is a constant; here it
is interpolated from a learned grid (`pos_grid: 1` is literal), whose width makes its projection redundant.
`cross_mode: literal` is equation 11 as printed: the values of an eye under the queries of the other eye.
`cross_mode: standard` is cross-attention: the values of the other eye under the queries of the eye itself.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Fusion
from models.fusions._cross import attend, check_heads, feed_forward, tokens
from models.fusions._eyes import require_pair
from models.fusions._per_eye import PerEyeLinear, PerEyeNorm, PerEyeShare
from models.poolings import Pool, global_average


class Casfm(Fusion):
    """z = pool(SiLU(BN(conv1x1([y_l; y_r])))), y = map + resize(t' + MLP(LN t')) for each eye, where

    t' = α·attention·W + β·t and t = tokens(λ·avg + (1-λ)·max) + P.
    """

    def __init__(
        self,
        channels: int,
        num_views: int,
        *,
        dim: int = 256,
        heads: int = 8,
        cross_mode: Literal["literal", "standard"] = "literal",
        pos_grid: int = 7,
        literal_scale: bool = False,
        share_eyes: bool = False,
        dropout: float = 0.1,
        combine: Literal["concat", "sum"] = "concat",
    ) -> None:
        """Builds the module.

        Args:
            channels: Channels of each eye's map.
            num_views: Must be 2.
            dim: Width of the tokens and of the joined map; `heads` divides it.
            heads: Number of attention heads.
            cross_mode: Which eye's queries meet which eye's keys and values.
            pos_grid: Side of the learned grid of positions, at least 1; the grid starts at zero.
            literal_scale: Multiply the pooled map by 1/4, as equation 8 is printed.
            share_eyes: Use one set of λ, α, β, positions, norms and projections for both eyes.
            dropout: Share of attention weights and features set to 0 in training, in [0, 1).
            combine: How the maps of both eyes are joined: concatenated as in equation 13, or added. A sum of
                shared parts is symmetric.

        Raises:
            ValueError: There are not two views, or an argument lies outside its range.
        """
        super().__init__(out_features=dim, symmetric=share_eyes and combine == "sum")
        require_pair("casfm", num_views)
        check_heads(dim, heads)
        if pos_grid < 1:
            raise ValueError(
                f"`fusion.casfm.pos_grid`: must be at least 1, got {pos_grid}. "
                "7 fits maps of 14x14, 1 is literal."
            )
        eyes = 1 if share_eyes else 2
        self.heads, self.dropout, self.combine = heads, check_dropout(dropout), combine
        self.literal = cross_mode == "literal"
        self.pool_scale = 0.25 if literal_scale else 1.0
        self.reduce = nn.Conv2d(channels, dim, 1)
        self.token = nn.Linear(dim, dim)
        self.position = nn.Parameter(torch.zeros(eyes, dim, pos_grid, pos_grid))
        self.mix = PerEyeShare(eyes, 0.0)
        self.alpha = PerEyeShare(eyes, 2.0)
        self.beta = PerEyeShare(eyes, 2.0)
        self.norm = PerEyeNorm(eyes, dim)
        self.query = PerEyeLinear(eyes, dim, dim)
        self.key = PerEyeLinear(eyes, dim, dim)
        self.value = PerEyeLinear(eyes, dim, dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), feed_forward(dim, dropout))
        join = nn.Conv2d(dim if combine == "sum" else 2 * dim, dim, 1, bias=False)
        self.join = nn.Sequential(join, nn.BatchNorm2d(dim), nn.SiLU(inplace=True))

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        return pool(self.fuse(maps))

    def fuse(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b d h w"]:
        """One map for each pair (equation 13)."""
        eyes = self.exchange(maps)
        y: Tensor = self.join(eyes.sum(1) if self.combine == "sum" else eyes.flatten(1, 2))
        return y

    def exchange(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v d h w"]:
        """The map of each eye after it has met that of the other."""
        reduced = self.reduce(maps.flatten(0, 1))
        coarse, grid = self._coarse(reduced, maps.shape[:2])
        t = self._cross(coarse)
        t = t + self.mlp(t)
        small = torch.unflatten(t.flatten(0, 1).transpose(1, 2), 2, grid)
        spread = F.interpolate(small, maps.shape[3:], mode="bilinear")
        return torch.unflatten(reduced + spread, 0, maps.shape[:2])

    def _coarse(
        self, x: Float[Tensor, "n d h w"], batch: torch.Size
    ) -> tuple[Float[Tensor, "b v m d"], torch.Size]:
        """Tokens of the map at half its size (equations 8 to 10), and that size."""
        window = (min(2, x.shape[2]), min(2, x.shape[3]))
        average, largest = F.avg_pool2d(x, window), F.max_pool2d(x, window)
        of_average = tokens(torch.unflatten(average, 0, batch))
        of_largest = tokens(torch.unflatten(largest, 0, batch))
        mix = self.mix()
        t = mix * of_average + (1 - mix) * of_largest
        position = F.interpolate(self.position, average.shape[2:], mode="bilinear").flatten(2).transpose(1, 2)
        return self.token(self.pool_scale * t) + position, average.shape[2:]

    def _cross(self, t: Float[Tensor, "b v n d"]) -> Float[Tensor, "b v n d"]:
        """Equations 11 and 12."""
        x = self.norm(t)
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.literal:
            query = query.flip(1)
        else:
            key, value = key.flip(1), value.flip(1)
        z = self.out(attend(query, key, value, self.heads, self.dropout if self.training else 0.0))
        y: Tensor = self.alpha() * F.dropout(z, self.dropout, self.training) + self.beta() * t
        return y
