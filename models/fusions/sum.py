"""Sum of the views.

Source: the simplest symmetric fusion.
Differs: nothing. There is no choice of level, since the average of summed maps equals the sum of their
averages.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Fusion
from models.poolings import Pool, global_average


class Sum(Fusion):
    """z = pool(Σ_v x_v), or pool(mean_v x_v)."""

    def __init__(self, channels: int, num_views: int, *, average: bool = False) -> None:
        """Sets whether views are added or averaged.

        Args:
            channels: Channels of each view's map.
            num_views: 1 or 2.
            average: Divide by the number of views.
        """
        super().__init__(out_features=channels, symmetric=True)
        self.average = average

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each sample."""
        return pool(maps.mean(1) if self.average else maps.sum(1))
