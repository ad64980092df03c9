"""Mirror attention: each position gathers from the positions that look like it in the flipped image.

The image is flipped left to right, and upside down.

Source: Fang et al. 2023 (BSPC 80, 104277); the equations were read from the authors' public code.
Differs: The code passes the original where the vertical flip belongs, shares one projection between both
flips, and flips at random even in testing; here each flip has its own projection and is always made. `norm:
rows` and `value_from: original` are those of the code, `norm: cols` is plain attention. `flips: map` flips
the feature map and saves two passes through the encoder; it is exact where the encoder gives flipped maps for
flipped images. The two attended maps are averaged; the context `mirror` concatenates them.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from models.attentions._mirror import MirrorViews
from models.contracts import Attention


class Mirror(Attention):
    """y = x + ½ Σ_f W_f·Σ_i g_f(x)_i·softmax(θ_f(x_f)_i · θ(x)_j / √d), f over both flips.

    W = 0 at the start.
    """

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
            channels: Channels of the map; queries, keys and values have half as many.
            flips: What is flipped: the map, or the images, which the network then encodes as well (three
                times the work).
            norm: Which weights sum to 1: those that reach a position (`cols`), or those that leave one
                (`rows`).
            value_from: Where the gathered values come from.
        """
        super().__init__(image_flips=flips == "image")
        self.views = MirrorViews(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        across: Float[Tensor, "b c h w"] | None = None,
        down: Float[Tensor, "b c h w"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """The mean of both attended maps.

        Args:
            x: The map.
            across: Map of the image flipped left to right; None flips the map.
            down: Map of the image flipped upside down; None flips the map.
        """
        horizontal, vertical = self.views(x, across, down)
        y: Tensor = (horizontal + vertical) / 2
        return y
