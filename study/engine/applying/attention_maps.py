"""What the attention blocks of a network look at, read from outside by forward hooks: no block knows of it.

A block is any module of a type in `READERS`. Its map is a gate between 0 and 1 (mean over channels where it has several), or,
where positions attend to positions, the share of attention that each position gets, times the number of positions: 1 is even.
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
from models.fusions._cafm import ChannelSpatialCross
from models.fusions._cross import CrossAttention
from models.fusions._synergy import Ccam, Ciam
from models.fusions.casfm import Casfm
from models.fusions.gated import Gated
from models.siamese import SiameseNet


class Call(NamedTuple):
    """One call of a watched module."""

    args: tuple[Any, ...]
    output: Any


Calls = Mapping[str, list[Call]]
Pair = Float[Tensor, "b v h w"]


@dataclass(frozen=True)
class Reader:
    """How a block's maps are read.

    Attributes:
        watched: names of the block's children whose calls are kept; one that is not there is not watched.
        read: maps "b v h w" by what they are, from the block, the calls and (b, v); NaN for an eye that the block does not see.
    """

    watched: tuple[str, ...]
    read: Callable[[Any, Calls, tuple[int, int]], dict[str, Tensor]]


def attention_maps(
    net: SiameseNet, images: Float[Tensor, "b v 3 h w"]
) -> dict[str, Float[Tensor, "b v h2 w2"]]:
    """The maps of all attention blocks, by place and meaning, in the network's order; empty where it has none.

    Args:
        net: in evaluation mode.
        images: normalised.
    """
    shape = (images.shape[0], images.shape[1])
    with torch.no_grad(), _watched(net) as blocks:
        net(images)
    found: dict[str, Tensor] = {}
    for name, block, calls in blocks:
        if any(calls.values()):
            for what, maps in READERS[type(block)].read(block, calls, shape).items():
                if maps.shape[2:].numel() > 1:  # one position attends to nothing
                    found[_title(name, what, found)] = maps
    return found


def _title(name: str, what: str, taken: Mapping[str, Any]) -> str:
    """`fusion: spatial gate`, with the whole path where that is taken."""
    short = f"{name.partition('.')[0]}: {what}"
    return short if short not in taken else f"{name}: {what}"


@contextmanager
def _watched(net: nn.Module) -> Iterator[list[tuple[str, nn.Module, Calls]]]:
    """Keeps the calls of the children that the readers want; a block inside a block with a reader is the outer one's."""
    blocks: list[tuple[str, nn.Module, Calls]] = []
    handles = []
    for name, block in net.named_modules():
        if type(block) not in READERS or any(name.startswith(f"{outer}.") for outer, _, _ in blocks):
            continue
        calls: dict[str, list[Call]] = {child: [] for child in READERS[type(block)].watched}
        inside = dict(block.named_modules(remove_duplicate=False))
        for child in calls.keys() & inside.keys():
            handles.append(inside[child].register_forward_hook(_noting(calls[child])))
        blocks.append((name, block, calls))
    try:
        yield blocks
    finally:
        for handle in handles:
            handle.remove()


def _noting(calls: list[Call]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        calls.append(Call(args, output))

    return note


def _per_eye(maps: Float[Tensor, "n h w"], shape: tuple[int, int]) -> Pair:
    """Maps of all images as those of pairs; maps of flipped images, which stand behind, are left out."""
    return torch.unflatten(maps[: shape[0] * shape[1]], 0, shape)


def _spatial(block: SpatialAttn, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"spatial gate": _per_eye(calls["gate"][0].output[:, 0], shape)}


def _coordinate(block: CoordAttn, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    rows, columns = (call.output for call in calls["gate"])
    return {"coordinate gate": _per_eye((rows * columns).mean(1), shape)}


def _osim(block: Osim, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    return {"scale gate": _per_eye(calls["gate"][0].output[:, 0].sigmoid(), shape)}


def _osim_per_eye(block: OsimPerEye, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    if block.right is block.left:  # one gate under two names, called for the left eye, then for the right
        eyes = [calls["left.gate"][0], calls["left.gate"][-1]]
    else:
        eyes = [calls[name][0] if calls[name] else None for name in ("left.gate", "right.gate")]  # type: ignore[misc]
    gates = [None if call is None else call.output[:, 0].sigmoid() for call in eyes]
    there = next(gate for gate in gates if gate is not None)
    return {
        "scale gate": torch.stack(
            [torch.full_like(there, torch.nan) if gate is None else gate for gate in gates], 1
        )
    }


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
    query, key = (
        calls["query"][0].output,
        calls["key_value"][0].output.chunk(2, 3)[0].flip(1),
    )  # the block hands the eyes over exchanged
    return {"seen by the other eye": _seen_by_other(query, key, block.heads)}


def _seen_by_other(query: Float[Tensor, "b v n d"], key: Float[Tensor, "b v n d"], heads: int) -> Pair:
    """n times the attention that a position of an eye gets from the other eye's positions, mean over these and over the heads."""
    q, k = (torch.unflatten(x, 3, (heads, -1)).transpose(2, 3) for x in (query.flip(1), key))
    weights = (q @ k.transpose(3, 4) / q.shape[4] ** 0.5).softmax(4).mean((2, 3))
    return _grid(weights * weights.shape[2])


def _grid(x: Float[Tensor, "b v n"]) -> Pair:
    """Positions of a square map."""
    return torch.unflatten(x, 2, (round(x.shape[2] ** 0.5), -1))


def _mirror(block: MirrorViews, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    turns = {"horizontal": ("left-right mirror", -1), "vertical": ("upside-down mirror", -2)}
    return {
        what: _per_eye(_of_mirror(getattr(block, name), calls[name][0], axis), shape)
        for name, (what, axis) in turns.items()
    }


def _binocular(block: MirrorBinocular, calls: Calls, shape: tuple[int, int]) -> dict[str, Tensor]:
    received = _per_eye(_of_mirror(block.branch, calls["branch"][0], -1 if block.flip else None), shape)
    seen = (
        received if block.branch.norm == "rows" else received.flip(1)
    )  # `cols`: the places are the fellow eye's
    return {"mirror in the fellow eye": seen}


def _of_mirror(branch: MirrorBranch, call: Call, axis: int | None) -> Float[Tensor, "n h w"]:
    """The attention that a position gets.

    With `cols` what leaves each position sums to 1, so the places that are looked at are told, turned back from the mirrored map along
    `axis`; with `rows` the places that receive.
    """
    query, x, mirrored = call.args
    weights = query @ branch.key(mirrored).transpose(1, 2) / query.shape[2] ** 0.5
    if branch.norm == "rows":
        return torch.unflatten(weights.softmax(1).sum(2), 1, x.shape[2:])
    places = torch.unflatten(weights.softmax(2).sum(1), 1, mirrored.shape[2:])
    return places if axis is None else places.flip(axis)


READERS: dict[type[nn.Module], Reader] = {
    SpatialAttn: Reader(("gate",), _spatial),
    CoordAttn: Reader(("gate",), _coordinate),
    Osim: Reader(("gate",), _osim),
    OsimPerEye: Reader(("left.gate", "right.gate"), _osim_per_eye),
    MirrorViews: Reader(("horizontal", "vertical"), _mirror),
    MirrorBinocular: Reader(("branch",), _binocular),
    Ccam: Reader(("gate",), _ccam),
    Ciam: Reader(("gate",), _ciam),
    ChannelSpatialCross: Reader(("place",), _place),
    Casfm: Reader(("query", "key"), _casfm),
    CrossAttention: Reader(("query", "key_value"), _cross),
    Gated: Reader(("score",), _gated),
}
