"""CASFM: both eyes exchange what they see on a coarse grid, then their maps are joined.

Source: DMS-Net (Huo et al. 2025, arXiv 2504.18046v2), equations 8 to 13. Where they are silent (heads, norms, feed-forward part,
resizing) the structure of the dual-modality block that they follow (Shen et al. 2023, arXiv 2308.07504) is taken.
Differs: equation 8's factor 1/k² is already inside an average (`literal_scale` brings it back for average and maximum). Equation
10's position is interpolated from a 1x1 map, which is a constant; here from a learned grid (`pos_grid: 1` is literal), whose
width makes its projection redundant. `cross_mode: literal` is equation 11 as printed: an eye's values under the other eye's
queries; `standard` is cross-attention, the other eye's values under the eye's own queries.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.fusions._cross import attend, check_heads, feed_forward, tokens
from models.fusions._eyes import require_pair
from models.fusions._per_eye import PerEyeLinear, PerEyeNorm, PerEyeShare
from models.poolings import Pool, global_average


class Casfm(nn.Module):
    """t = tokens(λ·avg + (1-λ)·max) + P; t' = α·attention·W + β·t; map + resize(t' + MLP(LN t')); SiLU(BN(conv1x1([l; r])))."""

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
            channels: of each eye's map.
            num_views: must be 2.
            dim: width of the tokens and of the joined map; `heads` divides it.
            heads: number of attention heads.
            cross_mode: which eye's queries meet which eye's keys and values.
            pos_grid: side of the learned grid of positions, at least 1; starts at zero.
            literal_scale: scales the pooled map by 1/4, as equation 8 is printed.
            share_eyes: one set of λ, α, β, positions, norms and projections for both eyes.
            dropout: share of attention weights and features set to 0 while training, in [0, 1).
            combine: joins both eyes' maps side by side as in equation 13, or as their sum; a sum of shared parts is symmetric.

        Raises:
            ValueError: one view, heads that do not divide dim, pos_grid below 1, or dropout outside its range.
        """
        super().__init__()
        require_pair("casfm", num_views)
        check_heads(dim, heads)
        if pos_grid < 1:
            raise ValueError(
                f"`fusion.casfm.pos_grid`: must be at least 1, got {pos_grid}. 7 fits maps of 14x14, 1 is literal."
            )
        eyes = 1 if share_eyes else 2
        self.out_features = dim
        self.symmetric = share_eyes and combine == "sum"
        self.heads, self.dropout, self.combine = heads, check_dropout(dropout), combine
        self.literal = cross_mode == "literal"
        self.pool_scale = 0.25 if literal_scale else 1.0
        self.reduce = nn.Conv2d(channels, dim, 1)
        self.token = nn.Linear(dim, dim)
        self.position = nn.Parameter(torch.zeros(eyes, dim, pos_grid, pos_grid))
        self.mix, self.alpha, self.beta = (
            PerEyeShare(eyes, 0.0),
            PerEyeShare(eyes, 2.0),
            PerEyeShare(eyes, 2.0),
        )
        self.norm = PerEyeNorm(eyes, dim)
        self.query, self.key, self.value = (PerEyeLinear(eyes, dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), feed_forward(dim, dropout))
        join = nn.Conv2d(dim if combine == "sum" else 2 * dim, dim, 1, bias=False)
        self.join = nn.Sequential(join, nn.BatchNorm2d(dim), nn.SiLU(inplace=True))

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per pair."""
        return pool(self.fuse(maps))

    def fuse(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b d h w"]:
        """One map per pair (equation 13)."""
        eyes = self.exchange(maps)
        y: Tensor = self.join(eyes.sum(1) if self.combine == "sum" else eyes.flatten(1, 2))
        return y

    def exchange(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v d h w"]:
        """Each eye's map after it has met the other's."""
        size = maps.shape[3:]
        reduced = self.reduce(maps.flatten(0, 1))
        coarse, grid = self._coarse(reduced, maps.shape[:2])
        t = self._cross(coarse)
        t = t + self.mlp(t)
        spread = F.interpolate(
            torch.unflatten(t.flatten(0, 1).transpose(1, 2), 2, grid), size, mode="bilinear"
        )
        return torch.unflatten(reduced + spread, 0, maps.shape[:2])

    def _coarse(
        self, x: Float[Tensor, "n d h w"], batch: torch.Size
    ) -> tuple[Float[Tensor, "b v m d"], torch.Size]:
        """Tokens of the map at half its size (equations 8 to 10), and that size."""
        window = (min(2, x.shape[2]), min(2, x.shape[3]))
        average, largest = F.avg_pool2d(x, window), F.max_pool2d(x, window)
        mix = self.mix()
        t = mix * tokens(torch.unflatten(average, 0, batch)) + (1 - mix) * tokens(
            torch.unflatten(largest, 0, batch)
        )
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
