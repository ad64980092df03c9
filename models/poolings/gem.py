"""GeM: generalised mean, between average (p = 1) and max (p large), with p learned.

Source: Radenović, Tolias and Chum 2018, arXiv 1711.02512, equation 3; the descriptor of Fang et al. 2023.
Differs: nothing.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Pooling

SMALLEST = 1e-6


class Gem(Pooling):
    """z_c = (mean over all positions of max(x_c, 1e-6)^p)^(1/p), in 32 bit; negative values count as 0."""

    drops_negative = True

    def __init__(self, channels: int, *, p: float = 3.0) -> None:
        """Builds the pooling.

        Args:
            channels: Channels of the map; one p serves all of them.
            p: Exponent at the start, at least 1.

        Raises:
            ValueError: The exponent is below 1.
        """
        super().__init__()
        if p < 1:
            raise ValueError(
                f"`pooling.gem.p`: must be at least 1 (1 is the average), got {p}. The paper starts at 3."
            )
        self.p = nn.Parameter(torch.tensor(float(p)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        """The vector of each map."""
        x = x.float().clamp(min=SMALLEST)
        # powers of values up to 1 cannot overflow; the factor cancels
        largest = x.detach().amax((2, 3), keepdim=True)
        return (x / largest).pow(self.p).mean((2, 3)).pow(1 / self.p) * largest[:, :, 0, 0]
