"""The sanity check of a heat map: it must change when the network forgets what it has learnt.

The network forgets part by part, from the head down.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292 (cascading randomisation; rank
correlation, SSIM).
Differs: The rank correlation is taken at the map's own size, over both eyes at once; SSIM at 64 px, with both
maps scaled to a greatest value of 1.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import rankdata
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from models.contracts import Backbone
from models.siamese import SiameseNet

PARTS = {
    "head": ("head", "view_head"),
    "embedding": ("embedding",),
    "fusion": ("fusion", "pooling"),
    "attention": ("attention",),
    "context": ("context",),
}
"""Attributes of the network by the part that they belong to, from the head down."""

PIECES = 4  # of a backbone at most: a transformer has a dozen stages, and one hardly differs from the next
SSIM_PX = 64


def cascade(net: SiameseNet, fresh: SiameseNet, *, with_head: bool = True) -> Iterator[str]:
    """Overwrites part after part of `net` with that of `fresh`, and names each part after that.

    A part without weights is left out.

    Args:
        net: The trained network, changed in place.
        fresh: The same network as it is initialised.
        with_head: False where the maps do not depend on the head, which is then left out.
    """
    for part, names in PARTS.items():
        if part == "head" and not with_head:
            continue
        changed = [_overwrite(getattr(net, name), getattr(fresh, name)) for name in names]
        if any(changed):
            yield part
    pieces = _pieces(net.backbone)
    state, fresh_state = net.backbone.state_dict(), fresh.backbone.state_dict()
    for number in range(len(pieces), 0, -1):
        for key in pieces[number - 1]:
            state[key].copy_(fresh_state[key])
        yield "backbone" if len(pieces) == 1 else f"backbone {number}/{len(pieces)}"


def _overwrite(module: nn.Module | None, fresh: nn.Module | None) -> bool:
    """Gives a module the weights of a fresh one; False where it has none."""
    if module is None or fresh is None or not list(module.parameters()):
        return False
    module.load_state_dict(fresh.state_dict())
    return True


def _pieces(backbone: Backbone) -> list[list[str]]:
    """Keys of the backbone's state in at most `PIECES` runs of whole stages.

    A key that stands before the end of a stage belongs to that stage.
    """
    keys = list(backbone.state_dict())
    ends = []
    for stage in backbone.stages:
        own = [place for place, key in enumerate(keys) if key.startswith(f"net.{stage}.")]
        if own:
            ends.append(max(own) + 1)
    if not ends:
        return [keys]
    ends.sort()
    ends[-1] = len(keys)
    chosen = [int(part[-1]) for part in np.array_split(np.array(ends), min(PIECES, len(ends)))]
    return [keys[start:end] for start, end in zip([0, *chosen], chosen, strict=False)]


def rank_correlation(
    trained: Float[Tensor, "n v h w"], other: Float[Tensor, "n v h w"]
) -> Float[np.ndarray, " n"]:
    """Spearman's ρ over all positions of both eyes.

    It is NaN where the trained map is even, and 0 where only the other map is.
    """
    first, second = _centred_ranks(trained), _centred_ranks(other)
    length, other_length = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (first * second).sum(1) / (length * other_length)
    correlation = np.where(other_length == 0, 0.0, correlation)
    return np.where(length == 0, np.nan, correlation)


def _centred_ranks(maps: Float[Tensor, "n v h w"]) -> Float[np.ndarray, "n m"]:
    """The rank of each position within its sample, less the mean rank."""
    ranks = np.asarray(rankdata(maps.flatten(1).cpu().numpy(), axis=1))
    centred: Float[np.ndarray, "n m"] = ranks - ranks.mean(1, keepdims=True)
    return centred


def structural_likeness(
    trained: Float[Tensor, "n v h w"], other: Float[Tensor, "n v h w"]
) -> Float[np.ndarray, " n"]:
    """Mean SSIM over the eyes (Gaussian window, σ 1.5); NaN where the trained map is 0 everywhere."""
    first, second = _scaled(trained), _scaled(other)
    likeness = np.full(len(first), np.nan)
    for i in np.flatnonzero(first.max((1, 2, 3)) > 0):
        likeness[i] = structural_similarity(
            first[i],
            second[i],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=0,
        )
    return likeness


def _scaled(maps: Float[Tensor, "n v h w"]) -> Float[np.ndarray, "n v px px"]:
    """The maps at `SSIM_PX`, with a greatest value of 1 in each sample."""
    resized = F.interpolate(maps, (SSIM_PX, SSIM_PX), mode="bilinear")
    greatest = resized.amax((1, 2, 3), keepdim=True)
    return (resized / torch.where(greatest > 0, greatest, 1.0)).cpu().numpy()
