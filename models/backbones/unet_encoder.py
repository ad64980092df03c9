"""The encoder of a U-Net, with the widths of the authors' MANet.

It has 9.4 M parameters; its map has 512 channels and 1/16 of the image's side.

Source: Ronneberger, Fischer and Brox 2015, arXiv 1505.04597; the widths 64, 128, 256, 512 and 512, the
padding and the batch norm are those of Fang et al. 2023, read from the authors' public code.
Differs: Fang et al. have a decoder too, which reconstructs the flipped images from the attended maps. The
last version of their training does not use it, and it is not built here.
"""

from collections import OrderedDict

from torch import nn

WIDTHS = (64, 128, 256, 512, 512)


def unet_encoder() -> nn.Sequential:
    """Five stages of two 3x3 convolutions, each with batch norm and ReLU; all but the first halve the map."""
    sizes = zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
    return nn.Sequential(OrderedDict((f"stage{i}", _stage(*size)) for i, size in enumerate(sizes)))


def _stage(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [] if in_channels == 3 else [nn.MaxPool2d(2)]
    for channels in (in_channels, out_channels):
        conv = nn.Conv2d(channels, out_channels, 3, padding=1)
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
