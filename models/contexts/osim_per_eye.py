"""OSIM with weights of its own for each eye, or with one eye that does without OSIM.

Source: DMS-Net (Huo et al. 2025), table 2, rows "w/o OSIM (left)", "(right)" and "(all)", which imply one
OSIM for each eye.
Differs: An eye without OSIM is reduced to the same number of channels by a 1x1 convolution with BN and ReLU.
The paper does not state whether its two OSIMs share their weights.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit, halved
from models.contexts.osim import Osim
from models.contracts import Context


class OsimPerEye(Context):
    """l' = A(l), r' = B(r); A and B are OSIM or a 1x1 convolution.

    They have one set of weights (A = B) where `share` asks for it and both are of the same kind.
    """

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
            channels: Channels of each eye's map; half as many come out.
            eyes: Which eyes pass through OSIM.
            share: Use one set of weights where both eyes pass through the same kind of module.
            scale_mode: As in `osim`.
            kernel: As in `osim`.
        """
        super().__init__(out_channels=halved(channels))

        def module(eye: str) -> nn.Module:
            if eyes in ("both", eye):
                return Osim(channels, scale_mode=scale_mode, kernel=kernel)
            return conv_unit(channels, self.out_channels)

        self.left = module("left")
        self.right = self.left if share and eyes in ("both", "neither") else module("right")

    def forward(self, x: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c2 h w"]:
        """The widened maps of both eyes.

        Raises:
            ValueError: There are not two views.
        """
        if x.shape[1] != 2:
            raise ValueError(
                f"`context`: osim_per_eye needs both eyes, got {x.shape[1]} view(s). "
                "Use osim for single images."
            )
        return torch.stack([self.left(x[:, 0]), self.right(x[:, 1])], 1)
