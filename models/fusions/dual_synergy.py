"""DMS-Net's whole fusion: CASFM beside a path for what sets the eyes apart (CCAM) and one for what they share (CIAM).

Source: DMS-Net (Huo et al. 2025, arXiv 2504.18046v2), section on CCAM and CIAM; table 2 for the switches.
Differs: the paper gives no equations for CAFM, CCAM, CIAM, the dense paths or how all parts are joined. This is a reconstruction
from its words: both eyes are reduced by one 1x1 convolution and look at each other through CAFM, giving g; CCAM gates each eye by
how the g differ, CIAM by how they agree, and a dense path that both eyes share follows. The parts' vectors stand side by side.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fusions._cafm import ChannelSpatialCross, HeadsCross
from models.fusions._eyes import require_pair
from models.fusions._synergy import Ccam, Ciam
from models.fusions.casfm import Casfm
from models.poolings import Pool, global_average, pool_views


class DualSynergy(nn.Module):
    """z = [pool(CASFM); join(pool CCAM_l, pool CCAM_r); join(pool CIAM_l, pool CIAM_r)].

    CCAM_v = dense([f_v·σ(conv1x1 D_v); D_v]), D from |g_l - g_r|; CIAM_v = dense(f_v·σ(conv1x1 S)) + f_v, S from g_l ⊙ g_r.
    """

    def __init__(
        self,
        channels: int,
        num_views: int,
        *,
        dim: int = 256,
        casfm: bool = True,
        ccam: bool = True,
        ciam: bool = True,
        cafm: Literal["channel_spatial", "mhca", "none"] = "channel_spatial",
        discrepancy: Literal["absolute", "signed", "cosine"] = "absolute",
        similarity: Literal["product", "cosine"] = "product",
        layers: int = 3,
        growth: int = 32,
        heads: int = 8,
        cross_mode: Literal["literal", "standard"] = "literal",
        pos_grid: int = 7,
        dropout: float = 0.1,
        combine: Literal["concat", "sum", "max"] = "concat",
    ) -> None:
        """Builds the parts that are switched on.

        Args:
            channels: of each eye's map.
            num_views: must be 2.
            dim: width of every part; `heads` divides it.
            casfm: whether the exchange on a coarse grid is there.
            ccam: whether the path of differences is there.
            ciam: whether the path of similarities is there.
            cafm: how the eyes look at each other before CCAM and CIAM; `none` compares the maps as they are.
            discrepancy: D = |g_l - g_r|, the signed difference seen from each eye, or 1 - cosine at each position.
            similarity: S = g_l ⊙ g_r, or the cosine at each position.
            layers: of each dense path, at least 1.
            growth: channels that a dense layer adds, at least 1.
            heads: of CASFM and of `mhca`.
            cross_mode: as for `casfm`.
            pos_grid: as for `casfm`.
            dropout: of CASFM and of `mhca`, in [0, 1).
            combine: how both eyes' vectors are joined; `sum` and `max` make the fusion symmetric, CASFM included.

        Raises:
            ValueError: one view, no part switched on, or an argument outside its range.
        """
        super().__init__()
        require_pair("dual_synergy", num_views)
        if not (casfm or ccam or ciam):
            raise ValueError(
                "`fusion.dual_synergy`: at least one of casfm, ccam and ciam must be on, got none. Use concat instead."
            )
        if min(layers, growth) < 1:
            raise ValueError(
                f"`fusion.dual_synergy`: layers and growth must be at least 1, got {layers} and {growth}. Try 3 and 32."
            )
        self.combine = combine
        self.symmetric = combine != "concat"
        self.out_features = dim * (casfm + (1 if self.symmetric else 2) * (ccam + ciam))
        joins: Literal["sum", "concat"] = "sum" if self.symmetric else "concat"
        exchange: dict[str, Any] = {
            "heads": heads,
            "cross_mode": cross_mode,
            "pos_grid": pos_grid,
            "dropout": dropout,
        }
        self.casfm = (
            Casfm(channels, num_views, dim=dim, share_eyes=self.symmetric, combine=joins, **exchange)
            if casfm
            else None
        )
        self.reduce = nn.Conv2d(channels, dim, 1) if ccam or ciam else None
        self.cafm = _cafm(cafm, dim, heads, dropout) if ccam or ciam else None
        self.ccam = Ccam(dim, discrepancy, layers, growth) if ccam else None
        self.ciam = Ciam(dim, similarity, layers, growth) if ciam else None

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per pair."""
        parts = [] if self.casfm is None else [pool(self.casfm.fuse(maps))]
        if self.reduce is not None and self.cafm is not None:
            f = torch.unflatten(self.reduce(maps.flatten(0, 1)), 0, maps.shape[:2])
            g = self.cafm(f)
            parts += [
                self._join(pool_views(path(f, g), pool))
                for path in (self.ccam, self.ciam)
                if path is not None
            ]
        return torch.cat(parts, 1)

    def _join(self, eyes: Float[Tensor, "b v d"]) -> Float[Tensor, "b e"]:
        if self.combine == "concat":
            return eyes.flatten(1)
        return eyes.sum(1) if self.combine == "sum" else eyes.amax(1)


def _cafm(name: str, dim: int, heads: int, dropout: float) -> nn.Module:
    if name == "none":
        return nn.Identity()
    return ChannelSpatialCross(dim) if name == "channel_spatial" else HeadsCross(dim, heads, dropout)
