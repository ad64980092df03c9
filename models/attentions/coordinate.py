"""Coordinate attention: one gate for each row and one for each column, so that the gate knows the position.

Source: Hou, Zhou and Feng 2021, arXiv 2103.02907, equations 4 to 8. The module is timm's.
Differs: nothing. A flipped map gives other gates: eyes should face the same way.
"""

from jaxtyping import Float
from timm.layers.coord_attn import CoordAttn
from torch import Tensor

from models.attentions._gates import reduced
from models.contracts import Attention
from models.gates import Gate

NARROWEST = 8


class Coordinate(Attention):
    """y_ij = x_ij·σ(W_h f_i)·σ(W_w f_j), f = hswish(BN(W_1 [mean over columns; mean over rows]))."""

    def __init__(self, channels: int, *, reduction: int = 32) -> None:
        """Builds both gates.

        Args:
            channels: Channels of the map.
            reduction: The hidden layer has channels / reduction units, at least eight.

        Raises:
            ValueError: The reduction is below 1.
        """
        super().__init__()
        self.gate = CoordAttn(
            channels,
            rd_channels=max(NARROWEST, reduced(channels, reduction)),
            bias=True,
            gate_layer=Gate,
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gate(x)
        return y
