"""Both gates of CBAM side by side on the same map.

Source: Woo et al. 2018, arXiv 1807.06521, table 2 (parallel arrangement).
Differs: The paper does not say how the two results are joined; here they are averaged. The gates
are those of `channel` and `spatial`.
"""

from typing import Literal

from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor

from models.attentions._gates import channel_gate
from models.contracts import Attention
from models.gates import Gate


class Parallel(Attention):
    """y = x·(M_c(x) + M_s(x)) / 2."""

    def __init__(self, channels: int, *, reduction: int = 16, kernel: Literal[3, 5, 7] = 7) -> None:
        """Builds both gates.

        Args:
            channels: Channels of the map.
            reduction: The hidden layer of the channel gate has channels / reduction units, at least one.
            kernel: Side of the spatial gate's convolution.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__()
        self.channel = channel_gate(channels, reduction)
        self.spatial = SpatialAttn(kernel, gate_layer=Gate)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = (self.channel(x) + self.spatial(x)) / 2
        return y
