"""Gated sum: every channel decides how much it takes from each view.

Source: Arevalo et al. 2017, Gated Multimodal Units, arXiv 1702.01992.
Differs: The gate is a softmax over views of one shared linear map of each view, not a sigmoid of their
concatenation; so it is symmetric and works for any number of views.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Fusion
from models.poolings import Pool, global_average, pool_views


class Gated(Fusion):
    """z = Σ_v g_v·x_v, g = softmax over views of (W x_v + b), for each channel.

    With `feature_map` there is a gate for each position, too.
    """

    def __init__(
        self, channels: int, num_views: int, *, level: Literal["pooled", "feature_map"] = "pooled"
    ) -> None:
        """Builds the gate.

        Args:
            channels: Channels of each view's map.
            num_views: 1 or 2.
            level: What is gated: pooled vectors, or the maps before they are pooled.
        """
        super().__init__(out_features=channels, symmetric=True, pools_first=level == "pooled")
        self.level = level
        self.score = nn.Linear(channels, channels)

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each sample."""
        if self.level == "pooled":
            x = pool_views(maps, pool)
            gate: Tensor = self.score(x).softmax(1)
            return (x * gate).sum(1)
        gate = self.score(maps.movedim(2, -1)).movedim(-1, 2).softmax(1)
        return pool((maps * gate).sum(1))
