"""The encoder of a U-Net against its layers, one after another."""

import torch
import torch.nn.functional as F
from torch import nn

from models.backbones import build_backbone
from tests.models.parts import scramble


def test_the_unet_encoder_is_a_chain_of_double_convolutions() -> None:
    backbone = scramble(build_backbone("unet_encoder", image_px=32), std=0.05)
    x = y = torch.randn(2, 3, 32, 32)
    convs = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [conv.out_channels for conv in convs] == [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    for i, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
        if i in (2, 4, 6, 8):
            y = y.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax((3, 5))
        y = norm(F.conv2d(y, conv.weight, conv.bias, padding=1)).clamp(min=0)
    torch.testing.assert_close(backbone(x), y)
    assert y.shape == (2, 512, 2, 2)
