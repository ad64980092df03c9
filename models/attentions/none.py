"""No attention: the map goes through as it is.

Source: the control of every ablation.
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Attention


class NoAttention(Attention):
    """y = x."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map itself."""
        return x
