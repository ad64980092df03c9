"""Backbones turn an image into a map: any network of torchvision or timm by its name, and some of our own.

`build_backbone` builds all of them; `models.contracts.Backbone` is the contract. Names: `tiny` and
`unet_encoder`; a foundation model of `_info.py` (`retfound_mae`, ...); any classification network of
torchvision; any network of timm, which `timm/NAME` takes even where torchvision has one of that name.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import timm
from torchvision import models as zoo
from torchvision.models import list_models

from models.backbones._info import FOUNDATIONS, BackboneInfo, backbone_info
from models.backbones._own import OWN, build_own
from models.backbones._stages import StagedBackbone
from models.backbones._timm import build_timm, is_timm
from models.backbones._torchvision import build_torchvision, is_torchvision

__all__ = ["FOUNDATIONS", "OWN", "BackboneInfo", "StagedBackbone", "backbone_info", "build_backbone"]


def build_backbone(
    name: str,
    *,
    weights: str = "none",
    freeze: Literal["none", "all"] | int = "none",
    drop_stages: int = 0,
    image_px: int,
) -> StagedBackbone:
    """A network "n 3 h w" -> "n c h' w'".

    Args:
        name: `tiny`, `unet_encoder`, a name of torchvision or timm, `timm/NAME`, or a foundation model
            (`retfound_mae`, ...).
        weights: `none`, `imagenet` (fetched, or from the cache of torch hub or Hugging Face), or a local
            .safetensors, .pth, .pt or .bin file. A foundation model has a file of its authors.
        freeze: `none`, `all`, or the number of leading stages that get no gradient and keep their batch-norm
            statistics.
        drop_stages: Number of stages at the end that are left out.
        image_px: Side of the square images, which transformers must know.

    Raises:
        ValueError: The name is unknown, the weights cannot be had or do not fit, or there are fewer stages
            than are to be frozen or dropped.
    """
    return _whole(name, weights, image_px).drop_last(drop_stages).freeze(freeze)


def _whole(name: str, weights: str, image_px: int) -> StagedBackbone:
    if name in OWN:
        return build_own(name, weights)
    if name in FOUNDATIONS:
        _require_file(name, weights)
        return _whole(FOUNDATIONS[name].network, weights, image_px)
    if is_torchvision(name):
        return build_torchvision(name, weights, image_px)
    plain = name.removeprefix("timm/")
    if is_timm(plain):
        return build_timm(plain, weights, image_px)
    known = {*OWN, *FOUNDATIONS, *list_models(module=zoo), *timm.list_models()}
    near = ", ".join(get_close_matches(plain, known, n=3))
    hint = f"Did you mean {near}?" if near else "See torchvision.models.list_models() and timm.list_models()."
    raise ValueError(
        f"`backbone.name`: must be {', '.join(OWN)}, a classification network of torchvision or a network of "
        f"timm, got {name}. {hint}"
    )


def _require_file(name: str, weights: str) -> None:
    """Passes where the weights of a foundation model are `none` or an existing file.

    Raises:
        ValueError: They are something else.
    """
    way = backbone_info(name).way
    if weights == "imagenet":
        raise ValueError(
            f"`backbone.weights`: must be none or a file of its authors for {name}, got imagenet. {way}"
        )
    if weights != "none" and not Path(weights).expanduser().is_file():
        raise ValueError(f"`backbone.weights`: must be an existing file for {name}, got {weights}. {way}")
