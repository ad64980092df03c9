"""FFM: the maps of both eyes, concatenated, through two convolutions, scaled by a learned factor.

Source: bilateral feature fusion of BFPC-Net (Li et al. 2022); its form was read in an independent
reimplementation only.
Differs: unknown for that reason. The width is an argument, because the reimplementation's 3x3 convolution
over all channels of both eyes would have 75 M parameters after ResNet-50's last stage.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Fusion
from models.fusions._eyes import require_pair
from models.poolings import Pool, global_average


class Ffm(Fusion):
    """z = dropout(ReLU(W·pool(a·conv1x1(ReLU(BN(conv3x3([l; r])))))))."""

    def __init__(
        self, channels: int, num_views: int, *, width: int = 512, hidden: int = 512, dropout: float = 0.5
    ) -> None:
        """Builds the module.

        Args:
            channels: Channels of each eye's map.
            num_views: Must be 2.
            width: Channels of both convolutions, at least 1.
            hidden: Length of the vector, at least 1.
            dropout: Share of the vector set to 0 in training, in [0, 1).

        Raises:
            ValueError: There are not two views, or an argument lies outside its range.
        """
        super().__init__(out_features=hidden, symmetric=False)
        require_pair("ffm", num_views)
        if min(width, hidden) < 1:
            raise ValueError(
                f"`fusion.ffm`: width and hidden must be at least 1, got {width} and {hidden}. Try 512."
            )
        first = nn.Conv2d(2 * channels, width, 3, padding=1, bias=False)
        self.mix = nn.Sequential(
            first, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)
        )
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.leave = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Dropout(check_dropout(dropout))
        )

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """One vector for each pair."""
        y: Tensor = self.leave(pool(self.scale * self.mix(maps.flatten(1, 2))))
        return y
