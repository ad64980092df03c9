"""Any classification network of torchvision as a backbone.

A stage is a run of blocks whose maps have the same size. A pooling layer at the end of the network is left
out, so VGG-16 gives its 14x14 map at 224 px. The class token of a vision transformer is dropped, and its
patches go back to a grid. GoogLeNet and Inception-v3 were trained on images normalised with mean = std = 0.5
(`normalise: half`).

Source: torchvision.models.
Differs: Classifier, auxiliary heads and last pooling are cut off; channel-last maps (Swin) come out
channel-first.
"""

from collections import OrderedDict
from contextlib import nullcontext
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models as zoo
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from models.backbones._stages import StagedBackbone
from models.backbones._weights import State, copy_weights, read_weights

CLASSIFIER = ("avgpool", "dropout", "fc", "classifier", "head")
PROBE_PX = 128  # small enough to be quick, large enough for every network's stride


def is_torchvision(name: str) -> bool:
    """Whether torchvision has a classification network of that name."""
    return name in list_models(module=zoo)


def build_torchvision(name: str, weights: str, image_px: int) -> StagedBackbone:
    """Builds the network, loads its weights and cuts the classifier off.

    Raises:
        ValueError: The weights cannot be had or do not fit, or the network cannot take images of this size.
    """
    device = torch.get_default_device()
    # RegNet computes its widths with tensors, which the meta device cannot
    with torch.device("cpu") if name.startswith("regnet") else nullcontext():
        net = get_model(name, weights=None, **_arguments(name, image_px)).to(device)
    if isinstance(net, VisionTransformer):
        backbone = _transformer(net)
    else:
        backbone = _convolutional(net, image_px if name.startswith("maxvit") else PROBE_PX)
    if weights != "none":
        raw = _imagenet(name) if weights == "imagenet" else read_weights(weights)
        state = dict(raw)
        if isinstance(net, VisionTransformer) and "encoder.pos_embedding" in state:
            state["encoder.pos_embedding"] = state["encoder.pos_embedding"].float()
            state = dict(interpolate_embeddings(image_px, net.patch_size, OrderedDict(state)))
        backbone.taken = copy_weights(net, backbone, state, weights, raw)
    return backbone


def _arguments(name: str, image_px: int) -> dict[str, object]:
    if name.startswith("vit"):
        patch_px = int(name.rpartition("_")[2])
        if image_px % patch_px:
            raise ValueError(
                f"`data.image_px`: must be a multiple of {name}'s patch of {patch_px} px, got {image_px}."
            )
        return {"image_size": image_px}
    if name.startswith("maxvit"):
        return {"input_size": (image_px, image_px)}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": False}
    return {}


def _imagenet(name: str) -> State:
    best = get_model_weights(name)["DEFAULT"]
    try:
        state: State = best.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise ValueError(
            f"`backbone.weights`: imagenet weights of {name} could not be fetched ({error}). "
            f"Put {best.url} into {folder}/ or name a local file, "
            f"`weights: /path/to/{best.url.rpartition('/')[2]}`."
        ) from None
    return state


def _convolutional(net: nn.Module, probe_px: int) -> StagedBackbone:
    """Groups the network's blocks into stages by the size of their maps."""
    blocks = _blocks(net)
    channel_last = isinstance(net, zoo.SwinTransformer)
    stages: list[list[nn.Module]] = []
    channels: list[int] = []
    size = None
    net.eval()
    x = torch.zeros(1, 3, probe_px, probe_px)
    with torch.no_grad():
        for block in blocks:
            x = block(x)
            shape = x.movedim(-1, 1).shape if channel_last else x.shape
            if shape[2:] != size:
                stages.append([])
                channels.append(0)
                size = shape[2:]
            stages[-1].append(block)
            channels[-1] = shape[1]
    net.train()
    if not any(list(block.parameters()) for block in stages[-1]):
        stages, channels = stages[:-1], channels[:-1]
    if channel_last:
        stages[-1].append(_ChannelFirst())
        channels = channels[-1:]
    trunk = nn.Sequential(*(nn.Sequential(*stage) for stage in stages))
    names = [str(i) for i in range(len(stages))]
    return StagedBackbone(trunk, channels[-1], names, channels if len(channels) == len(stages) else ())


def _blocks(net: nn.Module) -> list[nn.Module]:
    """The network's blocks in the order of use, without the classifier."""
    children = dict(net.named_children())
    if isinstance(net, zoo.DenseNet):
        return [*net.features.children(), nn.ReLU(inplace=True)]
    if isinstance(net, zoo.SwinTransformer):
        return [*net.features.children(), net.norm]
    for stem, body in (("", "features"), ("", "layers"), ("stem", "trunk_output"), ("stem", "blocks")):
        if body in children:
            return [*([children[stem]] if stem else []), *children[body].children()]
    return [module for name, module in children.items() if name not in CLASSIFIER]


class _ChannelFirst(nn.Module):
    """Gives "b h w c" -> "b c h w"."""

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b c h w"]:
        return x.movedim(-1, 1)


def _transformer(net: VisionTransformer) -> StagedBackbone:
    """The patches are the first stage, and each layer of the encoder is one more."""
    layers = list(net.encoder.layers.children())
    last = nn.Sequential(layers[-1], net.encoder.ln, _Grid(net.image_size // net.patch_size))
    stages = [_Patches(net), *layers[:-1], last]
    return StagedBackbone(nn.Sequential(*stages), net.hidden_dim, [str(i) for i in range(len(stages))])


class _Patches(nn.Module):
    """Image -> class token and patch tokens with positions."""

    def __init__(self, net: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj, self.class_token = net.conv_proj, net.class_token
        self.pos_embedding, self.dropout = net.encoder.pos_embedding, net.encoder.dropout

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n d"]:
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1) + self.pos_embedding
        y: Tensor = self.dropout(tokens)
        return y


class _Grid(nn.Module):
    """Tokens -> map; the class token is dropped."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b d h w"]:
        return torch.unflatten(x[:, 1:].transpose(1, 2), 2, (self.side, self.side))
