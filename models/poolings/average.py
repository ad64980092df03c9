"""Average pooling: the mean over all positions.

Source: Lin, Chen and Yan 2014, Network in Network, section 3.2.
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Pooling
from models.poolings import global_average


class Average(Pooling):
    """z_c = mean over all positions of x_c."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        """The vector of each map."""
        return global_average(x)
