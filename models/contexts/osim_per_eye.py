"""OSIM that knows which eye it sees: its own weights for each eye, or one eye without it.

Source: DMS-Net (Huo et al. 2025), table 2, rows "w/o OSIM (left)", "(right)" and "(all)", which imply an OSIM per eye.
Differs: an eye without OSIM is reduced to the same number of channels by a 1x1 convolution with BN and ReLU; whether the
paper's two OSIMs share their weights is not stated.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit
from models.contexts.osim import Osim


class OsimPerEye(nn.Module):
    """l' = A(l), r' = B(r), where A and B are OSIM or a 1x1 convolution; A = B (one set of weights) where `share` allows."""

    binocular = True

    def __init__(
        self,
        channels: int,
        *,
        eyes: Literal["both", "left", "right", "neither"] = "both",
        share: bool = False,
        scale_mode: Literal["output_size", "window"] = "output_size",
        kernel: Literal[1, 3, 7] = 7,
    ) -> None:
        """Builds a module for each eye.

        Args:
            channels: of each eye's map; half as many come out.
            eyes: which eyes pass through OSIM.
            share: one set of weights where both eyes pass through the same kind of module.
            scale_mode: as for `osim`.
            kernel: as for `osim`.
        """
        super().__init__()
        self.out_channels = max(1, channels // 2)

        def module(osim: bool) -> nn.Module:
            return (
                Osim(channels, scale_mode=scale_mode, kernel=kernel)
                if osim
                else conv_unit(channels, self.out_channels)
            )

        self.left = module(eyes in ("both", "left"))
        self.right = self.left if share and eyes in ("both", "neither") else module(eyes in ("both", "right"))

    def forward(self, x: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c2 h w"]:
        """Both widened maps.

        Raises:
            ValueError: there are not two views.
        """
        if x.shape[1] != 2:
            raise ValueError(
                f"`context`: osim_per_eye needs both eyes, got {x.shape[1]} view(s). Use osim for single images."
            )
        return torch.stack([self.left(x[:, 0]), self.right(x[:, 1])], 1)
