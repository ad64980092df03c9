"""Mirror attention: each position looks for its like in the flipped image, left to right and upside down.

Source: Fang et al. 2023 (BSPC 80, 104277); the equations were read from the authors' public code.
Differs: that code passes the original where the vertical flip belongs, shares one projection between the flips and flips at
random even when testing; here each flip has its own projection and is always made. `norm: rows` and `value_from: original` are
the code's, `norm: cols` is plain attention. `flips: map` flips the feature map and saves two passes through the encoder; it is
exact where the encoder commutes with flips. The two attended maps are averaged; the context `mirror` lays them side by side.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from models.attentions._mirror import MirrorViews


class Mirror(nn.Module):
    """y = x + ½ Σ_f W_f·Σ_i g_f(x)_i·softmax(θ_f(x_f)_i · θ(x)_j / √d), f over both flips; W = 0 at the start."""

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
            channels: of the map; queries, keys and values have half as many.
            flips: the map itself is flipped, or the network encodes the flipped images as well (three times the work).
            norm: whether the weights that reach a position sum to 1 (`cols`), or those that leave one (`rows`).
            value_from: where the gathered values come from.
        """
        super().__init__()
        self.image_flips = flips == "image"
        self.views = MirrorViews(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        across: Float[Tensor, "b c h w"] | None = None,
        down: Float[Tensor, "b c h w"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """The mean of both attended maps.

        Args:
            x: the map.
            across: map of the image flipped left to right; None flips the map.
            down: map of the image flipped upside down.
        """
        horizontal, vertical = self.views(x, None if across is None or down is None else (across, down))
        y: Tensor = (horizontal + vertical) / 2
        return y
