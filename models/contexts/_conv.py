"""The convolution unit of the context modules."""

from torch import nn


def conv_unit(
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    dilation: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution without bias that keeps the map's size, batch norm, activation (None leaves it out)."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *([activation()] if activation else []))


def halved(channels: int) -> int:
    """Half of the channels, rounded down, at least one."""
    return max(1, channels // 2)
