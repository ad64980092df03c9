"""Any network of timm as a backbone: its last map, tokens of a transformer put back on their grid.

`weights: imagenet` means the pretrained weights that timm names first for the network, whatever they were trained on
(`backbone_info` says it).

Source: timm, `forward_intermediates`.
Differs: classifier and what follows the last feature map are pruned.
"""

import sys
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float
from torch import Tensor, nn

from models.backbones._info import backbone_info
from models.backbones._stages import Backbone
from models.backbones._weights import copy_weights, read_weights, without_prefix


def is_timm(name: str) -> bool:
    """Whether timm has a network of that name (with or without the tag of its weights)."""
    return bool(timm.is_model(name.partition(".")[0]))


def build_timm(name: str, weights: str, image_px: int) -> Backbone:
    """Builds the network for the image size, loads its weights and prunes the classifier.

    Raises:
        ValueError: the weights cannot be had or do not fit, or the network cannot take images of this size.
    """
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None:
        raise ValueError(
            f"`backbone.name`: timm knows no weights of that tag, got {name}. See timm.list_pretrained()."
        )
    size: dict[str, Any] = {"img_size": image_px} if cfg.fixed_input_size else {}
    try:
        net: Any = timm.create_model(name, pretrained=weights == "imagenet", **size)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        if weights != "imagenet":
            raise ValueError(
                f"`backbone.name`: timm cannot build {name} for {image_px} px ({error}). Choose another `image_px`."
            ) from None
        gated = backbone_info(name).gated
        form = (
            f" Access may need a form at huggingface.co/{cfg.hf_hub_id} and a token: `hf auth login`."
            if gated
            else ""
        )
        raise ValueError(
            f"`backbone.weights`: weights of {name} could not be fetched ({error}). Put them into the Hugging Face cache "
            f"(`hf download {cfg.hf_hub_id}`) or name a local file, `weights: /path/to/model.safetensors`.{form}"
        ) from None
    state = None
    if weights not in ("none", "imagenet"):
        to_timm = getattr(
            sys.modules[type(net).__module__], "checkpoint_filter_fn", None
        )  # renames keys, resizes positions
        state = without_prefix(read_weights(weights), next(iter(net.state_dict())))
        state = to_timm(state, net) if to_timm else state
    last = net.feature_info[-1]
    stages = [stage["module"] for stage in net.feature_info]
    net.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    if state is not None:
        copy_weights(net, net, state, Path(weights).name)
    return Backbone(_LastMap(net), last["num_chs"], [f"net.{stage}" for stage in stages])


class _LastMap(nn.Module):
    """A timm network that gives its last map."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        maps: list[Tensor] = self.net.forward_intermediates(
            x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps[-1]
