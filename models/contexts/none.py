"""No context module: the map goes through as it is.

Source: the control of every ablation.
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Context


class NoContext(Context):
    """y = x."""

    def __init__(self, channels: int) -> None:
        super().__init__(out_channels=channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map itself."""
        return x
