"""Squeeze and excitation: a channel gate from the mean of each channel.

Source: Hu, Shen and Sun 2018, arXiv 1709.01507, equations 2 to 4. The module is timm's.
Differs: There is batch norm before the sigmoid. In evaluation that is equation 3 with another W_2 and b_2.
Without it the gate dies on a wide map (see `_gates`).
"""

from jaxtyping import Float
from torch import Tensor

from models.attentions._gates import squeeze_gate
from models.contracts import Attention


class SqueezeExcitation(Attention):
    """y = x·σ(BN(W_2 ReLU(W_1 mean(x) + b_1) + b_2))."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        """Builds the gate.

        Args:
            channels: Channels of the map.
            reduction: The hidden layer has channels / reduction units, at least one.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__()
        self.gate = squeeze_gate(channels, reduction)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gate(x)
        return y
