"""Binocular mirror attention: each position of one eye gathers from the positions like it in the fellow eye.

Source: this project; the block is that of `mirror` (Fang et al. 2023), whose mirror image is the same eye
flipped.
Differs: the mirror image is the fellow eye, which is a mirror image by anatomy.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from models.attentions._mirror import MirrorBranch, Projection
from models.contracts import Attention


class MirrorBinocular(Attention):
    """l' = l + W·attention(θ(l), θ'(flip r), g), r' likewise; W = 0 at the start."""

    binocular = True

    def __init__(
        self,
        channels: int,
        *,
        flip: bool = True,
        norm: Literal["cols", "rows"] = "cols",
        value_from: Literal["original", "mirror"] = "mirror",
    ) -> None:
        """Builds the branch, which both eyes share.

        Args:
            channels: Channels of each eye's map.
            flip: Turn the fellow eye's map left to right; False suits data in which both eyes face the same
                way already.
            norm: Which weights sum to 1: those that reach a position (`cols`), or those that leave one
                (`rows`).
            value_from: Where the gathered values come from: the eye itself, or its fellow eye.
        """
        super().__init__()
        self.flip = flip
        self.query = Projection(channels, max(1, channels // 2))
        self.branch = MirrorBranch(channels, norm, value_from)

    def forward(self, x: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c h w"]:
        """The maps of both eyes, each with what it found in the other.

        Raises:
            ValueError: There are not two views.
        """
        if x.shape[1] != 2:
            raise ValueError(
                f"`attention`: mirror_binocular needs both eyes, got {x.shape[1]} view(s). "
                "Use mirror for single images."
            )
        fellow = x.flip((1, -1)) if self.flip else x.flip(1)
        eyes = x.flatten(0, 1)
        return torch.unflatten(self.branch(self.query(eyes), eyes, fellow.flatten(0, 1)), 0, x.shape[:2])
