"""The spatial gate of CBAM alone (SVK_sa).

Source: Woo et al. 2018, arXiv 1807.06521, equation 3; SVK_MA (Tan et al. 2023), equation 3. The module is
timm's.
Differs: SVK_MA's equation has no batch norm before the sigmoid, the CBAM authors' code and timm have one.
"""

from typing import Literal

from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor

from models.contracts import Attention
from models.gates import Gate


class Spatial(Attention):
    """y = x·σ(BN(conv_kxk([mean over channels; max over channels])))."""

    def __init__(self, channels: int, *, kernel: Literal[3, 5, 7] = 7) -> None:
        """Builds the gate.

        Args:
            channels: Channels of the map; the gate is the same for all of them.
            kernel: Side of the convolution.
        """
        super().__init__()
        self.gate = SpatialAttn(kernel, gate_layer=Gate)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gate(x)
        return y
