"""CBAM: a channel gate, then a spatial gate.

Source: Woo et al. 2018, arXiv 1807.06521, equations 2 and 3; SVK_MA (Tan et al. 2023), equations 2 and 3. The
parts are timm's.
Differs: Both gates have batch norm before the sigmoid. SVK_MA's equations have none; the CBAM authors' code
and timm have it in the spatial gate. In evaluation the channel gate is equation 2 with other weights and a
bias. Without batch norm it dies on a wide map (see `_gates`).
"""

from typing import Literal

from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from models.attentions._gates import channel_gate
from models.contracts import Attention
from models.gates import Gate


class Cbam(Attention):
    """y = x·M_c(x), z = y·M_s(y).

    M_c = σ(BN(MLP(avg) + MLP(max))), M_s = σ(BN(conv_kxk([mean_c; max_c]))).
    """

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
        self.block = nn.Sequential(
            channel_gate(channels, reduction),
            SpatialAttn(kernel, gate_layer=Gate),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.block(x)
        return y
