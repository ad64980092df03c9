"""DMS-Net's whole fusion: CASFM, a path for what differs between the eyes, and one for what they share.

Source: DMS-Net (Huo et al. 2025, arXiv 2504.18046v2), section on CCAM and CIAM; table 2 for the switches.
Differs: The paper gives no equations for CAFM, CCAM, CIAM, the dense paths, and the joining of all parts.
This is a reconstruction from its words. One 1x1 convolution reduces the maps f of both eyes; they look at
each other through CAFM, which gives g. CCAM gates each eye by the difference of the g, CIAM by their
agreement, and each has a dense path that both eyes share. The vectors of the parts are concatenated.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Fusion
from models.fusions._cafm import ChannelSpatialCross, HeadsCross
from models.fusions._eyes import require_pair
from models.fusions._synergy import Ccam, Ciam
from models.fusions.casfm import Casfm
from models.poolings import Pool, global_average, pool_views


class DualSynergy(Fusion):
    """z = [pool(CASFM); join(pool CCAM_l, pool CCAM_r); join(pool CIAM_l, pool CIAM_r)].

    CCAM_v = dense([f_v·σ(BN(conv1x1 D_v)); D_v]), D from |g_l - g_r|;
    CIAM_v = dense(f_v·σ(BN(conv1x1 S))) + f_v, S from g_l ⊙ g_r.
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
            channels: Channels of each eye's map.
            num_views: Must be 2.
            dim: Width of every part; `heads` divides it.
            casfm: Whether the eyes exchange what they see on a coarse grid.
            ccam: Whether there is a path of differences.
            ciam: Whether there is a path of similarities.
            cafm: How the eyes look at each other before CCAM and CIAM; `none` compares the maps as they are.
            discrepancy: What D is: |g_l - g_r|, the signed difference as each eye sees it, or 1 - cosine at
                each position.
            similarity: What S is: g_l ⊙ g_r, or the cosine at each position.
            layers: Layers of each dense path, at least 1.
            growth: Channels that a dense layer adds, at least 1.
            heads: Attention heads of CASFM and of `mhca`.
            cross_mode: As in `casfm`.
            pos_grid: As in `casfm`.
            dropout: Dropout of CASFM and of `mhca`, in [0, 1).
            combine: How the vectors of both eyes are joined; `sum` and `max` make the fusion symmetric, CASFM
                included.

        Raises:
            ValueError: There are not two views, no part is switched on, or an argument lies outside its
                range.
        """
        symmetric = combine != "concat"
        width = dim * (casfm + (1 if symmetric else 2) * (ccam + ciam))
        super().__init__(out_features=width, symmetric=symmetric)
        require_pair("dual_synergy", num_views)
        if not (casfm or ccam or ciam):
            raise ValueError(
                "`fusion.dual_synergy`: at least one of casfm, ccam and ciam must be on, got none. "
                "Use concat instead."
            )
        if min(layers, growth) < 1:
            raise ValueError(
                f"`fusion.dual_synergy`: layers and growth must be at least 1, got {layers} and {growth}. "
                "Try 3 and 32."
            )
        self.combine = combine
        self.casfm: Casfm | None = None
        if casfm:
            self.casfm = Casfm(
                channels,
                num_views,
                dim=dim,
                heads=heads,
                cross_mode=cross_mode,
                pos_grid=pos_grid,
                share_eyes=symmetric,
                dropout=dropout,
                combine="sum" if symmetric else "concat",
            )
        self.reduce = nn.Conv2d(channels, dim, 1) if ccam or ciam else None
        self.cafm = _cafm(cafm, dim, heads, dropout) if ccam or ciam else None
        self.ccam = Ccam(dim, discrepancy, layers, growth) if ccam else None
        self.ciam = Ciam(dim, similarity, layers, growth) if ciam else None

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        parts = [] if self.casfm is None else [pool(self.casfm.fuse(maps))]
        if self.reduce is not None and self.cafm is not None:
            f = torch.unflatten(self.reduce(maps.flatten(0, 1)), 0, maps.shape[:2])
            g = self.cafm(f)
            paths = [path for path in (self.ccam, self.ciam) if path is not None]
            parts += [self._join(pool_views(path(f, g), pool)) for path in paths]
        return torch.cat(parts, 1)

    def _join(self, eyes: Float[Tensor, "b v d"]) -> Float[Tensor, "b e"]:
        if self.combine == "concat":
            return eyes.flatten(1)
        return eyes.sum(1) if self.combine == "sum" else eyes.amax(1)


def _cafm(name: str, dim: int, heads: int, dropout: float) -> nn.Module:
    if name == "none":
        return nn.Identity()
    return ChannelSpatialCross(dim) if name == "channel_spatial" else HeadsCross(dim, heads, dropout)
