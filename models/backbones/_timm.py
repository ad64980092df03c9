"""Any network of timm as a backbone: its last map, with the tokens of a transformer put back on their grid.

`weights: imagenet` means the pretrained weights that timm names first for the network, whatever they were
trained on; `backbone_info` says what that was.

Source: timm, `forward_intermediates`.
Differs: The classifier and all that follows the last stage are pruned. Of an EfficientNet that is also the
1x1 convolution before the classifier, so that B4 has 448 channels where torchvision's has 1,792.
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

import timm
from jaxtyping import Float
from torch import Tensor, nn

from models.backbones._info import backbone_info
from models.backbones._stages import StagedBackbone
from models.backbones._weights import State, copy_weights, read_weights, without_prefix


def is_timm(name: str) -> bool:
    """Whether timm has a network of that name (with or without the tag of its weights)."""
    return bool(timm.is_model(name.partition(".")[0]))


def build_timm(name: str, weights: str, image_px: int) -> StagedBackbone:
    """Builds the network for the image size, loads its weights and prunes the classifier.

    Raises:
        ValueError: The weights cannot be had or do not fit, or the network cannot take images of this size.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise ValueError(
            f"`backbone.name`: timm knows no weights of that tag, got {name}. See timm.list_pretrained()."
        )
    size: dict[str, Any] = {"img_size": image_px} if config.fixed_input_size else {}
    try:
        net: Any = timm.create_model(name, pretrained=weights == "imagenet", **size)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        if weights == "imagenet":
            _raise_not_fetched(name, config.hf_hub_id, error)
        raise ValueError(
            f"`backbone.name`: timm cannot build {name} for {image_px} px ({error}). "
            "Choose another `image_px`."
        ) from None
    raw = read_weights(weights) if weights not in ("none", "imagenet") else None
    state = _as_timm(net, raw, Path(weights).name) if raw is not None else None
    channels = net.feature_info[-1]["num_chs"]
    stages = [f"net.{stage['module']}" for stage in net.feature_info]
    net.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    taken = copy_weights(net, net, state, Path(weights).name, raw) if state is not None else None
    backbone = StagedBackbone(_LastMap(net), channels, stages)
    backbone.taken = taken
    return backbone


def _raise_not_fetched(name: str, hub: str | None, error: Exception) -> NoReturn:
    form = f" Access may need a form at huggingface.co/{hub} and a token: `hf auth login`."
    raise ValueError(
        f"`backbone.weights`: weights of {name} could not be fetched ({error}). "
        f"Put them into the Hugging Face cache (`hf download {hub}`) or name a local file, "
        f"`weights: /path/to/model.safetensors`.{form if backbone_info(name).gated else ''}"
    ) from None


def _as_timm(net: nn.Module, raw: State, file: str) -> State:
    """The weights of a local file; timm renames keys and resizes positions where it knows how."""
    state = without_prefix(raw, list(net.state_dict()), file)
    to_timm = vars(sys.modules[type(net).__module__]).get("checkpoint_filter_fn")
    return to_timm(state, net) if to_timm else state


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
