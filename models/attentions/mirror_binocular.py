"""Binocular mirror attention: each position of one eye looks for its like in the fellow eye.

Source: this project; the block is that of `mirror` (Fang et al. 2023), whose mirror image is the same eye flipped.
Differs: the mirror is the fellow eye, which is a mirror image by anatomy.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attentions._mirror import MirrorBranch, Projection


class MirrorBinocular(nn.Module):
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
            channels: of each eye's map.
            flip: turns the fellow eye's map left to right; False for data in which both eyes face the same way already.
            norm: whether the weights that reach a position sum to 1 (`cols`), or those that leave one (`rows`).
            value_from: takes the values from the eye itself or from its fellow.
        """
        super().__init__()
        self.flip = flip
        self.query = Projection(channels, max(1, channels // 2))
        self.branch = MirrorBranch(channels, norm, value_from)

    def forward(self, x: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c h w"]:
        """Both eyes' maps, each with what it found in the other.

        Raises:
            ValueError: there are not two views.
        """
        if x.shape[1] != 2:
            raise ValueError(
                f"`attention`: mirror_binocular needs both eyes, got {x.shape[1]} view(s). Use mirror for single images."
            )
        fellow = x.flip((1, -1)) if self.flip else x.flip(1)
        eyes = x.flatten(0, 1)
        return torch.unflatten(self.branch(self.query(eyes), eyes, fellow.flatten(0, 1)), 0, x.shape[:2])
