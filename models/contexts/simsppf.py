"""SimSPPF: SPPF with ReLU.

Source: SimSPPF of YOLOv6, arXiv 2209.02976, written from its definition.
Differs: Half of the channels come out, as in the other context modules.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import halved
from models.contexts._pools import PoolPyramid
from models.contracts import Context


class SimSppf(Context):
    """y = conv1x1([u; three max pools]), u = conv1x1(x).

    Each pool of 5 pools the map before. Each convolution has BN and ReLU.
    """

    def __init__(self, channels: int) -> None:
        """Builds the module.

        Args:
            channels: Channels of the map; half as many come out.
        """
        super().__init__(out_channels=halved(channels))
        self.pyramid = PoolPyramid(channels, (5, 5, 5), chained=True, activation=nn.ReLU)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        y: Tensor = self.pyramid(x)
        return y
