"""Mirror attention that concatenates its two attended maps: the descriptor has one half for each flip.

Source: Fang et al. 2023 (BSPC 80, 104277); the descriptor of the authors' code concatenates both, and the
fine triplet loss compares its halves.
Differs: as the attention `mirror` does.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from models.attentions._mirror import MirrorViews
from models.contracts import Context


class MirrorPair(Context):
    """y = [x attended to its left-right flip; x attended to its upside-down flip]; [x; x] at the start."""

    def __init__(
        self,
        channels: int,
        *,
        flips: Literal["map", "image"] = "map",
        norm: Literal["cols", "rows"] = "cols",
        value_from: Literal["original", "mirror"] = "original",
    ) -> None:
        """Builds both branches.

        Args:
            channels: Channels of the map; twice as many come out.
            flips: What is flipped: the map, or the images, which the network then encodes as well (three
                times the work).
            norm: Which weights sum to 1: those that reach a position (`cols`), or those that leave one
                (`rows`).
            value_from: Where the gathered values come from.
        """
        super().__init__(out_channels=2 * channels, image_flips=flips == "image")
        self.views = MirrorViews(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        across: Float[Tensor, "b c h w"] | None = None,
        down: Float[Tensor, "b c h w"] | None = None,
    ) -> Float[Tensor, "b c2 h w"]:
        """Both attended maps, one after the other.

        Args:
            x: The map.
            across: Map of the image flipped left to right; None flips the map.
            down: Map of the image flipped upside down; None flips the map.
        """
        return torch.cat(self.views(x, across, down), 1)
