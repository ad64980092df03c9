"""Mirror attention whose two attended maps stand side by side, so that the descriptor has a half for each flip.

Source: Fang et al. 2023 (BSPC 80, 104277); the descriptor of the authors' code concatenates both, and the fine triplet loss
compares its halves.
Differs: as for the attention `mirror`.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attentions._mirror import MirrorViews


class MirrorPair(nn.Module):
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
            channels: of the map; twice as many come out.
            flips: the map itself is flipped, or the network encodes the flipped images as well (three times the work).
            norm: whether the weights that reach a position sum to 1 (`cols`), or those that leave one (`rows`).
            value_from: where the gathered values come from.
        """
        super().__init__()
        self.image_flips = flips == "image"
        self.out_channels = 2 * channels
        self.views = MirrorViews(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        across: Float[Tensor, "b c h w"] | None = None,
        down: Float[Tensor, "b c h w"] | None = None,
    ) -> Float[Tensor, "b c2 h w"]:
        """Both attended maps.

        Args:
            x: the map.
            across: map of the image flipped left to right; None flips the map.
            down: map of the image flipped upside down.
        """
        return torch.cat(self.views(x, None if across is None or down is None else (across, down)), 1)
