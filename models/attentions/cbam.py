"""CBAM: a channel gate, then a spatial gate.

Source: Woo et al. 2018, arXiv 1807.06521, equations 2 and 3; SVK_MA (Tan et al. 2023), equations 2 and 3. The
module is timm's.
Differs: SVK_MA's equation 3 has no batch norm in the spatial gate, the CBAM authors' code and timm have one.
"""

from typing import Literal

from jaxtyping import Float
from timm.layers.cbam import CbamModule
from torch import Tensor

from models.attentions._gates import reduced
from models.contracts import Attention


class Cbam(Attention):
    """y = x·M_c(x), z = y·M_s(y); M_c = σ(MLP(avg) + MLP(max)), M_s = σ(BN(conv_kxk([mean_c; max_c])))."""

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
        hidden = reduced(channels, reduction)
        self.block = CbamModule(channels, rd_channels=hidden, spatial_kernel_size=kernel)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.block(x)
        return y
