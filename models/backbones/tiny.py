"""A small convolutional network for tests, laptops and phantoms.

It has 0.16 M parameters; its map has 1/16 of the image's side.

Source: this project.
Differs: nothing.
"""

from collections import OrderedDict

from torch import nn

WIDTHS = (16, 32, 64, 96, 96)
STRIDES = (2, 2, 2, 2, 1)


def tiny() -> nn.Sequential:
    """Five stages of 3x3 convolution, batch norm and ReLU."""
    sizes = zip((3, *WIDTHS[:-1]), WIDTHS, STRIDES, strict=True)
    return nn.Sequential(OrderedDict((f"stage{i}", _stage(*size)) for i, size in enumerate(sizes)))


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
