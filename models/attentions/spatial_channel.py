"""The two gates of CBAM in the other order, or in CBAM's own.

Source: Woo et al. 2018, arXiv 1807.06521, section 3.1 and table 2 (arrangements of the two gates).
Differs: as the gates of `channel` and `spatial` do. `channel_spatial` is the component `cbam`; it stands here
too so that the order can be searched.
"""

from typing import Literal

from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from models.attentions._gates import channel_gate
from models.contracts import Attention
from models.gates import Gate


class SpatialChannel(Attention):
    """y = x·M_s(x), z = y·M_c(y); or the channel gate first."""

    def __init__(
        self,
        channels: int,
        *,
        order: Literal["spatial_channel", "channel_spatial"] = "spatial_channel",
        reduction: int = 16,
        kernel: Literal[3, 5, 7] = 7,
    ) -> None:
        """Builds both gates.

        Args:
            channels: Channels of the map.
            order: Which gate acts first.
            reduction: The hidden layer of the channel gate has channels / reduction units, at least one.
            kernel: Side of the spatial gate's convolution.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__()
        gates = [
            SpatialAttn(kernel, gate_layer=Gate),
            channel_gate(channels, reduction),
        ]
        self.gates = nn.Sequential(*(gates if order == "spatial_channel" else gates[::-1]))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gates(x)
        return y
