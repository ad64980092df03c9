"""The channel gate of CBAM alone (SVK_ca).

Source: Woo et al. 2018, arXiv 1807.06521, equation 2; SVK_MA (Tan et al. 2023), equation 2. The module is
timm's.
Differs: There is batch norm before the sigmoid. In evaluation that is equation 2 with other weights and a
bias. Without it the gate dies on a wide map (see `_gates`).
"""

from jaxtyping import Float
from torch import Tensor

from models.attentions._gates import channel_gate
from models.contracts import Attention


class Channel(Attention):
    """y = x·σ(BN(MLP(mean over positions) + MLP(max over positions))), one MLP without bias for both."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        """Builds the gate.

        Args:
            channels: Channels of the map.
            reduction: The hidden layer has channels / reduction units, at least one.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__()
        self.gate = channel_gate(channels, reduction)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gate(x)
        return y
