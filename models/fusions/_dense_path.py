"""A small densely connected network, one path for both eyes.

Source: Huang et al. 2017, arXiv 1608.06993, sections 3 and 4 (DenseNet-B layers and a transition without
pooling).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DensePath(nn.Module):
    """L times x = [x; conv3x3(ReLU(BN(conv1x1(ReLU(BN x)))))], then conv1x1(ReLU(BN x)).

    A layer adds `growth` channels; its 1x1 convolution has four times as many.
    """

    def __init__(self, in_channels: int, out_channels: int, layers: int, growth: int) -> None:
        super().__init__()
        widths = [in_channels + i * growth for i in range(layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(*_unit(width, 4 * growth, 1), *_unit(4 * growth, growth, 3)) for width in widths
        )
        self.leave = nn.Sequential(*_unit(in_channels + layers * growth, out_channels, 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """One map of `out_channels`."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        y: Tensor = self.leave(x)
        return y


def _unit(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    """BN, ReLU and convolution; the ReLU must not write into a map that is concatenated later."""
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
    ]
