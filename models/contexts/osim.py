"""OSIM: the map beside four pooled versions of itself, reduced to half the channels and gated by position.

Source: DMS-Net (Huo et al. 2025, arXiv 2504.18046v2), equations 1 to 7.
Differs: The paper does not state kernel and width of the spatial gate; here it has one channel and kernel 7,
and batch norm before the sigmoid, as in CBAM. In evaluation that is W_s * F + b_s of equation 7 with other
W_s and b_s. Without it the gate of a wide map dies within some hundred steps at usual learning rates: F is
nowhere negative, so a step can move all weights of the convolution the same way, until the gate is 0 or 1
everywhere. `scale_mode` decides whether the pools 2 and 4 are
output sizes or windows, which the text leaves open.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contexts._conv import conv_unit, halved
from models.contracts import Context
from models.gates import Gate


class Osim(Context):
    """F = ReLU(BN(conv1x1([x; max; mean; pool_2; pool_4]))), y = F·σ(BN(conv_kxk(F)))."""

    def __init__(
        self,
        channels: int,
        *,
        scale_mode: Literal["output_size", "window"] = "output_size",
        kernel: Literal[1, 3, 7] = 7,
    ) -> None:
        """Builds the module.

        Args:
            channels: Channels of the map; half as many come out.
            scale_mode: How pool_k averages: to k x k positions (`output_size`), or over windows of k x k
                (`window`).
            kernel: Side of the spatial gate's convolution.
        """
        super().__init__(out_channels=halved(channels))
        self.scale_mode = scale_mode
        self.reduce = nn.Conv2d(5 * channels, self.out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(self.out_channels)
        self.gate = Gate(*conv_unit(self.out_channels, 1, kernel, activation=None))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """The widened map.

        The 1x1 convolution of five concatenated maps is the sum of five convolutions, and it commutes with
        bilinear resizing. So each pooled map is convolved at its own small size, which costs a fifth of the
        multiplications and never stores 5 c channels.
        """
        size = x.shape[2:]
        coarse = (
            x.amax((2, 3), keepdim=True),
            x.mean((2, 3), keepdim=True),
            self._pool(x, 2),
            self._pool(x, 4),
        )
        own, *kernels = self.reduce.weight.chunk(5, 1)
        y = F.conv2d(x, own)
        for pooled, kernel in zip(coarse, kernels, strict=True):
            y = y + F.interpolate(F.conv2d(pooled, kernel), size, mode="bilinear")
        y = F.relu(self.norm(y))
        gated: Tensor = y * self.gate(y)
        return gated

    def _pool(self, x: Float[Tensor, "b c h w"], k: int) -> Float[Tensor, "b c h2 w2"]:
        if self.scale_mode == "output_size":
            return F.adaptive_avg_pool2d(x, k)
        return F.avg_pool2d(x, (min(k, x.shape[2]), min(k, x.shape[3])))
