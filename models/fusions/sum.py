"""Sum of the views.

Source: the simplest symmetric fusion.
Differs: nothing. Averages of summed maps equal sums of averages, so there is no choice of level.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models.poolings import Pool, global_average


class Sum(nn.Module):
    """z = pool(Σ_v x_v), or pool(mean_v x_v)."""

    symmetric = True

    def __init__(self, channels: int, num_views: int, *, average: bool = False) -> None:
        """Notes the widths.

        Args:
            channels: of each view's map.
            num_views: 1 or 2.
            average: divides by the number of views.
        """
        super().__init__()
        self.average = average
        self.out_features = channels

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector per sample, the same when the views are swapped."""
        return pool(maps.mean(1) if self.average else maps.sum(1))
