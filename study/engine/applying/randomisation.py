"""The sanity check of a heat map: it must change when the network forgets what it has learnt, part by part from the head down.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292 (cascading randomisation; rank correlation, SSIM).
Differs: rank correlation at the map's own size, over both eyes at once; SSIM at 64 px with both maps scaled to a greatest value of 1.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import rankdata
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from models.siamese import SiameseNet

PARTS = {"head": ("head", "view_head"), "embedding": ("embedding",), "fusion": ("fusion", "pooling"), "attention": ("attention",),
         "context": ("context",)}  # fmt: skip
PIECES = 4  # of the backbone at most: a transformer has a dozen stages, each as alike as the next
SSIM_PX = 64


def cascade(net: SiameseNet, fresh: SiameseNet, *, with_head: bool = True) -> Iterator[str]:
    """Overwrites part after part of `net` with that of `fresh` and names it each time; parts without weights have no turn.

    Args:
        net: the trained network, changed in place.
        fresh: the same network as it is initialised.
        with_head: False where the maps do not depend on the head, which then has no turn.
    """
    for part, names in PARTS.items():
        if part == "head" and not with_head:
            continue
        pairs = [(getattr(net, name), getattr(fresh, name)) for name in names]
        there = [
            (old, new)
            for old, new in pairs
            if isinstance(old, nn.Module) and any(True for _ in old.parameters())
        ]
        for old, new in there:
            old.load_state_dict(new.state_dict())
        if there:
            yield part
    pieces = _pieces(net.backbone)
    state, new = net.backbone.state_dict(), fresh.backbone.state_dict()
    for place in reversed(range(len(pieces))):
        for key in pieces[place]:
            state[key].copy_(new[key])
        yield "backbone" if len(pieces) == 1 else f"backbone {place + 1}/{len(pieces)}"


def _pieces(backbone: nn.Module) -> list[list[str]]:
    """Keys of the backbone's state in up to four runs of whole stages; a key before a stage's end belongs to it."""
    keys = list(backbone.state_dict())
    net = backbone.net
    stages = (
        [name for name, _ in net.named_children()]
        if isinstance(net, nn.Sequential)
        else list(backbone.stages)
    )  # type: ignore[arg-type]
    ends = [
        max((i for i, key in enumerate(keys) if key.startswith(f"net.{stage}.")), default=-1)
        for stage in stages
    ]
    ends = sorted(end + 1 for end in ends if end >= 0)
    if not ends:
        return [keys]
    ends[-1] = len(keys)
    chosen = [int(part[-1]) for part in np.array_split(np.array(ends), min(PIECES, len(ends)))]
    return [keys[start:end] for start, end in zip([0, *chosen], chosen, strict=False)]


def rank_correlation(
    trained: Float[Tensor, "n v h w"], other: Float[Tensor, "n v h w"]
) -> Float[np.ndarray, " n"]:
    """Spearman's ρ over all positions of both eyes; NaN where the trained map is even, 0 where only the other one is."""
    first, second = (rankdata(maps.flatten(1).cpu().numpy(), axis=1) for maps in (trained, other))
    first, second = (ranks - ranks.mean(1, keepdims=True) for ranks in (first, second))
    length, other_length = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (first * second).sum(1) / (length * other_length)
    return np.where(length == 0, np.nan, np.where(other_length == 0, 0.0, found))


def structural_likeness(
    trained: Float[Tensor, "n v h w"], other: Float[Tensor, "n v h w"]
) -> Float[np.ndarray, " n"]:
    """Mean SSIM over the eyes (Gaussian window, σ 1.5); NaN where the trained map is 0 everywhere."""
    first, second = (
        _scaled(F.interpolate(maps, (SSIM_PX, SSIM_PX), mode="bilinear")).cpu().numpy()
        for maps in (trained, other)
    )
    found = np.full(len(first), np.nan)
    for i in np.flatnonzero(first.max((1, 2, 3)) > 0):
        found[i] = structural_similarity(
            first[i],
            second[i],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=0,
        )
    return found


def _scaled(maps: Float[Tensor, "n v h w"]) -> Float[Tensor, "n v h w"]:
    greatest = maps.amax((1, 2, 3), keepdim=True)
    return maps / torch.where(greatest > 0, greatest, 1.0)
