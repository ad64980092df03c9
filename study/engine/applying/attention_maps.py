"""What the attention blocks of a network look at, read from outside by forward hooks; no block knows of it.

A block is any module of a type in `READERS`. Its map is a gate between 0 and 1, the mean over its channels
if there are several. Where positions attend to positions, it is the share of attention that each position
gets, times the number of positions: 1 everywhere if the attention is even.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from timm.layers.cbam import SpatialAttn
from timm.layers.coord_attn import CoordAttn
from torch import Tensor, nn

from models.attentions._mirror import MirrorBranch, MirrorViews
from models.attentions.mirror_binocular import MirrorBinocular
from models.contexts.osim import Osim
from models.contexts.osim_per_eye import OsimPerEye
from models.contexts.self_attention import SelfAttention
from models.fusions._cafm import ChannelSpatialCross
from models.fusions._cross import CrossAttention
from models.fusions._synergy import Ccam, Ciam
from models.fusions.casfm import Casfm
from models.fusions.gated import Gated
from models.siamese import SiameseNet


class Call(NamedTuple):
    """One call of a watched module.

    Attributes:
        args: Its positional arguments.
        output: What it gave.
    """

    args: tuple[Tensor, ...]
    output: Tensor


Calls = Mapping[str, list[Call]]
PairMaps = Float[Tensor, "b v h w"]


@dataclass(frozen=True)
class Reader:
    """How the maps of a block are read.

    Attributes:
        watched: Names of the block's children whose calls are kept, if the block has them.
        read: Gives maps "b v h w" by their names, from the block, the calls and (b, v). A map is NaN for an
            eye that the block does not see.
    """

    watched: tuple[str, ...]
    read: Callable[[Any, Calls, tuple[int, int]], dict[str, Tensor]]  # the type of the block is the key


def attention_maps(
    net: SiameseNet, images: Float[Tensor, "b v 3 h w"]
) -> dict[str, Float[Tensor, "b v h2 w2"]]:
    """The maps of all attention blocks, by block and meaning, in the network's order.

    Args:
        net: The network in evaluation mode.
        images: Normalised images.
    """
    shape = (images.shape[0], images.shape[1])
    with torch.no_grad(), _watched(net) as blocks:
        net(images)
    maps: dict[str, Tensor] = {}
    for path, block, calls in blocks:
        if not any(calls.values()):
            continue
        for meaning, of_block in READERS[type(block)].read(block, calls, shape).items():
            if of_block.shape[2:].numel() > 1:  # a map of one position says nothing
                maps[_title(path, meaning, maps)] = of_block
    return maps


def _title(path: str, meaning: str, taken: Mapping[str, Tensor]) -> str:
    """`fusion: spatial gate`, with the whole path of the block where that is taken."""
    short = f"{path.partition('.')[0]}: {meaning}"
    return short if short not in taken else f"{path}: {meaning}"


@contextmanager
def _watched(net: nn.Module) -> Iterator[list[tuple[str, nn.Module, Calls]]]:
    """Keeps the calls of the children that the readers want.

    A block inside a block with a reader has no map of its own.
    """
    blocks: list[tuple[str, nn.Module, Calls]] = []
    handles = []
    for path, block in net.named_modules():
        inside_another = any(path.startswith(f"{outer}.") for outer, _, _ in blocks)
        if type(block) not in READERS or inside_another:
            continue
        calls: dict[str, list[Call]] = {child: [] for child in READERS[type(block)].watched}
        children = dict(block.named_modules(remove_duplicate=False))
        for child in calls.keys() & children.keys():
            handles.append(children[child].register_forward_hook(_noting(calls[child])))
        blocks.append((path, block, calls))
    try:
        yield blocks
    finally:
        for handle in handles:
            handle.remove()


def _noting(calls: list[Call]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def note(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append(Call(args, output))

    return note


def _per_eye(maps: Float[Tensor, "n h w"], shape: tuple[int, int]) -> PairMaps:
    """Maps of all images as maps of pairs, without those of flipped images, which come after the others."""
    return torch.unflatten(maps[: shape[0] * shape[1]], 0, shape)


def _spatial(block: SpatialAttn, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"spatial gate": _per_eye(calls["gate"][0].output[:, 0], shape)}


def _coordinate(block: CoordAttn, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    rows, columns = (call.output for call in calls["gate"])
    return {"coordinate gate": _per_eye((rows * columns).mean(1), shape)}


def _osim(block: Osim, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"scale gate": _per_eye(calls["gate"][0].output[:, 0], shape)}


def _osim_per_eye(block: OsimPerEye, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    left, right = calls["left.gate"], calls["right.gate"]
    if block.right is block.left:  # one gate under two names, called for the left eye, then for the right one
        left, right = left[:1], left[1:]
    gates = [[call.output[:, 0] for call in of_eye] for of_eye in (left, right)]
    no_map = torch.full_like((gates[0] or gates[1])[0], torch.nan)
    return {"scale gate": torch.stack([of_eye[0] if of_eye else no_map for of_eye in gates], 1)}


def _ccam(block: Ccam, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"difference gate": _per_eye(calls["gate"][0].output.mean(1), shape)}


def _ciam(block: Ciam, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"likeness gate": _per_eye(calls["gate"][0].output.mean(1), shape)}


def _place(block: ChannelSpatialCross, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    place = calls["place"][0].output[:, 0]
    return {"place": _per_eye(place.flatten(1).softmax(1).reshape(place.shape) * place[0].numel(), shape)}


def _gated(block: Gated, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    if block.level == "pooled":
        return {}
    return {"eye's share": calls["score"][0].output.softmax(1).mean(-1)}


def _casfm(block: Casfm, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    query, key = (calls[name][0].output for name in ("query", "key"))
    return {"seen by the other eye": _seen_by_other(query, key, block.heads)}


def _cross(block: CrossAttention, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    query = calls["query"][0].output
    key = calls["key_value"][0].output.chunk(2, 3)[0].flip(1)  # the block hands the eyes over exchanged
    return {"seen by the other eye": _seen_by_other(query, key, block.heads)}


def _seen_by_other(query: Float[Tensor, "b v n d"], key: Float[Tensor, "b v n d"], heads: int) -> PairMaps:
    """n times the attention that a position of an eye gets from a position of the other eye.

    It is the mean over all positions of the other eye and over the heads; n is the number of positions.
    """
    q, k = (torch.unflatten(x, 3, (heads, -1)).transpose(2, 3) for x in (query.flip(1), key))
    weights = (q @ k.transpose(3, 4) / q.shape[4] ** 0.5).softmax(4).mean((2, 3))
    return _grid(weights * weights.shape[2])


def _grid(x: Float[Tensor, "b v n"]) -> PairMaps:
    """The positions of a square map as that map."""
    return torch.unflatten(x, 2, (round(x.shape[2] ** 0.5), -1))


def _mirror(block: MirrorViews, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    across = _of_mirror(block.horizontal, calls["horizontal"][0], axis=-1)
    down = _of_mirror(block.vertical, calls["vertical"][0], axis=-2)
    return {"left-right mirror": _per_eye(across, shape), "upside-down mirror": _per_eye(down, shape)}


def _self_attention(block: SelfAttention, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"self-attention": _per_eye(_of_mirror(block.branch, calls["branch"][0], None), shape)}


def _binocular(block: MirrorBinocular, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    axis = -1 if block.flip else None
    maps = _per_eye(_of_mirror(block.branch, calls["branch"][0], axis), shape)
    if block.branch.norm == "cols":  # the positions are those of the fellow eye
        maps = maps.flip(1)
    return {"mirror in the fellow eye": maps}


def _of_mirror(branch: MirrorBranch, call: Call, axis: int | None) -> Float[Tensor, "n h w"]:
    """The attention that each position gets.

    With `cols` the weights that reach a position sum to 1, so the map shows the positions that are looked
    at in the mirrored map, turned back along `axis`. With `rows` it shows the positions that look.
    """
    query, x, mirrored = call.args
    weights = query @ branch.key(mirrored).transpose(1, 2) / query.shape[2] ** 0.5
    if branch.norm == "rows":
        return torch.unflatten(weights.softmax(1).sum(2), 1, x.shape[2:])
    looked_at = torch.unflatten(weights.softmax(2).sum(1), 1, mirrored.shape[2:])
    return looked_at if axis is None else looked_at.flip(axis)


READERS: dict[type[nn.Module], Reader] = {
    SpatialAttn: Reader(("gate",), _spatial),
    CoordAttn: Reader(("gate",), _coordinate),
    Osim: Reader(("gate",), _osim),
    OsimPerEye: Reader(("left.gate", "right.gate"), _osim_per_eye),
    MirrorViews: Reader(("horizontal", "vertical"), _mirror),
    MirrorBinocular: Reader(("branch",), _binocular),
    SelfAttention: Reader(("branch",), _self_attention),
    Ccam: Reader(("gate",), _ccam),
    Ciam: Reader(("gate",), _ciam),
    ChannelSpatialCross: Reader(("place",), _place),
    Casfm: Reader(("query", "key"), _casfm),
    CrossAttention: Reader(("query", "key_value"), _cross),
    Gated: Reader(("score",), _gated),
}
