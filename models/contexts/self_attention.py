"""Self-attention: each position gathers from all positions of the map that look like it.

Source: Wang et al. 2018, arXiv 1711.07971, equations 4 and 6 (non-local block). The form with batch norm and
ReLU in queries and keys is that of SANet, read from the public code of Fang et al. 2023.
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor

from models.attentions._mirror import MirrorBranch, Projection
from models.contexts._conv import halved
from models.contracts import Context


class SelfAttention(Context):
    """y_j = x_j + W·Σ_i g(x)_i·softmax_i(φ(x)_i · θ(x)_j / √d).

    θ and φ are ReLU(BN(conv1x1)), g and W are 1x1 convolutions; W = 0 at the start.
    """

    def __init__(self, channels: int) -> None:
        """Builds the projections.

        Args:
            channels: Channels of the map; queries, keys and values have half as many.
        """
        super().__init__(out_channels=channels)
        self.query = Projection(channels, halved(channels))
        self.branch = MirrorBranch(channels, "cols", "original")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map, with what each position gathered added to it."""
        y: Tensor = self.branch(self.query(x), x, x)
        return y
