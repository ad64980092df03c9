"""Backbones turn an image into a map: any network of torchvision or timm by name, and a tiny one.

`build_backbone` is the only way in. Names: `tiny`; a foundation model of `_info.py` (`retfound_mae`, ...); any
classification network of torchvision; any network of timm, which `timm/NAME` forces.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import timm
from torchvision import models as zoo
from torchvision.models import list_models  # type: ignore[attr-defined]

from models.backbones._info import FOUNDATIONS, BackboneInfo, backbone_info
from models.backbones._stages import Backbone
from models.backbones._timm import build_timm, is_timm
from models.backbones._torchvision import build_torchvision, is_torchvision
from models.backbones._weights import copy_weights, read_weights
from models.backbones.tiny import WIDTHS, tiny

__all__ = ["FOUNDATIONS", "Backbone", "BackboneInfo", "backbone_info", "build_backbone"]


def build_backbone(
    name: str,
    *,
    weights: str = "none",
    freeze: Literal["none", "all"] | int = "none",
    drop_stages: int = 0,
    image_px: int,
) -> Backbone:
    """A network "b 3 h w" -> "b c h' w'" with the attribute `out_channels`.

    Args:
        name: `tiny`, a torchvision or timm name, `timm/NAME`, or a foundation model (`retfound_mae`, ...) with its local file.
        weights: `none`, `imagenet` (fetched, or from the cache of torch hub or Hugging Face) or a local .safetensors,
            .pth or .pt file.
        freeze: `none`, `all`, or how many leading stages get no gradient and keep their batch-norm statistics.
        drop_stages: how many of the last stages are left out.
        image_px: side of the square images, which transformers must know.

    Raises:
        ValueError: unknown name, weights that cannot be had or do not fit, or more stages to freeze or drop than there are.
    """
    return _whole(name, weights, image_px).drop_last(drop_stages).freeze(freeze)


def _whole(name: str, weights: str, image_px: int) -> Backbone:
    if name == "tiny":
        return _build_tiny(weights)
    if name in FOUNDATIONS:
        if weights == "imagenet":
            raise ValueError(
                f"`backbone.weights`: {name} comes as a file of its authors, got imagenet. {backbone_info(name).way}"
            )
        if weights != "none" and not Path(weights).expanduser().is_file():
            raise ValueError(
                f"`backbone.weights`: must be an existing file for {name}, got {weights}. {backbone_info(name).way}"
            )
        return _whole(FOUNDATIONS[name].network, weights, image_px)
    if is_torchvision(name):
        return build_torchvision(name, weights, image_px)
    plain = name.removeprefix("timm/")
    if is_timm(plain):
        return build_timm(plain, weights, image_px)
    near = get_close_matches(
        plain, {"tiny", *FOUNDATIONS, *list_models(module=zoo), *timm.list_models()}, n=3
    )
    hint = (
        f"Did you mean {', '.join(near)}?"
        if near
        else "See torchvision.models.list_models() and timm.list_models()."
    )
    raise ValueError(
        f"`backbone.name`: must be tiny, a classification network of torchvision or a network of timm, got {name}. {hint}"
    )


def _build_tiny(weights: str) -> Backbone:
    net = tiny()
    if weights == "imagenet":
        raise ValueError(
            "`backbone.weights`: tiny has no pretrained weights, got imagenet. Set none or a local file."
        )
    if weights != "none":
        copy_weights(net, net, read_weights(weights), weights)
    return Backbone(net, WIDTHS[-1], [name for name, _ in net.named_children()], WIDTHS)
