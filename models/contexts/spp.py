"""SPP: the map beside its local maxima over windows of 5, 9 and 13.

Source: SPP as YOLO uses it, after He et al. 2015, arXiv 1406.4729.
Differs: Half of the channels come out, as in the other context modules. He et al. pool to fixed bins, which
gives a vector and no map.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import halved
from models.contexts._pools import PoolPyramid
from models.contracts import Context


class Spp(Context):
    """y = conv1x1([u; three max pools]), u = conv1x1(x).

    The pools of 5, 9 and 13 pool u. Each convolution has BN and SiLU.
    """

    def __init__(self, channels: int) -> None:
        """Builds the module.

        Args:
            channels: Channels of the map; half as many come out.
        """
        super().__init__(out_channels=halved(channels))
        self.pyramid = PoolPyramid(channels, (5, 9, 13), chained=False, activation=nn.SiLU)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map."""
        y: Tensor = self.pyramid(x)
        return y
