"""The backbones that are built here: no library has them, and there are no pretrained weights of them."""

from models.backbones import tiny, unet_encoder
from models.backbones._stages import StagedBackbone
from models.backbones._weights import copy_weights, read_weights

OWN = {"tiny": (tiny.tiny, tiny.WIDTHS), "unet_encoder": (unet_encoder.unet_encoder, unet_encoder.WIDTHS)}
"""The network and the channels after each of its stages, by name."""


def build_own(name: str, weights: str) -> StagedBackbone:
    """Builds the network and loads its weights.

    Raises:
        ValueError: The weights cannot be had or do not fit.
    """
    make, widths = OWN[name]
    net = make()
    if weights == "imagenet":
        raise ValueError(
            f"`backbone.weights`: must be none or a local file for {name}, got imagenet. "
            "There are no pretrained weights of it."
        )
    backbone = StagedBackbone(net, widths[-1], [stage for stage, _ in net.named_children()], widths)
    if weights != "none":
        backbone.taken = copy_weights(net, net, read_weights(weights), weights)
    return backbone
