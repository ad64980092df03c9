"""SPPF: SPP with three pools of 5 in a chain, which gives the same map for less work.

Source: SPPF of YOLOv5 (ultralytics, 2021), written from its definition.
Differs: Half of the channels come out, as in the other context modules.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import halved
from models.contexts._pools import PoolPyramid
from models.contracts import Context


class Sppf(Context):
    """y = conv1x1([u; three max pools]), u = conv1x1(x).

    Each pool of 5 pools the map before. Each convolution has BN and SiLU.
    """

    def __init__(self, channels: int) -> None:
        """Builds the module.

        Args:
            channels: Channels of the map; half as many come out.
        """
        super().__init__(out_channels=halved(channels))
        self.pyramid = PoolPyramid(channels, (5, 5, 5), chained=True, activation=nn.SiLU)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        y: Tensor = self.pyramid(x)
        return y
