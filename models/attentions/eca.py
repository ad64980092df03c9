"""Efficient channel attention: a channel gate from a one-dimensional convolution over neighbouring channels.

Source: Wang et al. 2020, arXiv 1910.03151, equations 9 and 12. The module is timm's.
Differs: nothing.
"""

from jaxtyping import Float
from timm.layers.eca import EcaModule
from torch import Tensor

from models.contracts import Attention
from models.gates import Gate


class EfficientChannel(Attention):
    """y = x·σ(conv1d_k(mean over positions)), k odd, without bias."""

    def __init__(self, channels: int, *, kernel: int | None = None) -> None:
        """Builds the gate.

        Args:
            channels: Channels of the map.
            kernel: Number of neighbouring channels that decide about a channel; odd. None takes the paper's
                rule: |log2(channels) + 1| / 2, rounded down to an integer and then up to the next odd one, at
                least 3.

        Raises:
            ValueError: The kernel is even or below 1.
        """
        super().__init__()
        if kernel is not None and (kernel < 1 or kernel % 2 == 0):
            raise ValueError(
                f"`attention.eca.kernel`: must be odd and at least 1, got {kernel}. "
                "The fixed value of the paper is 3."
            )
        self.gate = (
            EcaModule(channels, gate_layer=Gate)
            if kernel is None
            else EcaModule(kernel_size=kernel, gate_layer=Gate)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The gated map."""
        y: Tensor = self.gate(x)
        return y
