"""Max pooling: the largest value over all positions.

Source: Tolias, Sicre and Jégou 2016, arXiv 1511.05879 (MAC).
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Pooling


class Max(Pooling):
    """z_c = max over all positions of x_c."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        """The vector of each map."""
        return x.amax((2, 3))
