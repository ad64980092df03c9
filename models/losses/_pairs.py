"""Which samples of a batch match, and how far apart their embeddings are."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def matches(targets: Float[Tensor, "n l"], min_jaccard: float) -> Bool[Tensor, "n n"]:
    """Whether two samples share enough labels: |A ∩ B| / |A ∪ B| >= min_jaccard.

    Two samples without labels match.
    """
    both = targets @ targets.T
    count = targets.sum(1)
    either = count[:, None] + count[None, :] - both
    return both >= min_jaccard * either - 1e-6


def check_jaccard(min_jaccard: float) -> float:
    """The threshold itself.

    Raises:
        ValueError: The threshold lies outside (0, 1].
    """
    if not 0 < min_jaccard <= 1:
        raise ValueError(
            f"`loss.min_jaccard`: must be above 0 and at most 1, got {min_jaccard}. "
            "1 means the same label set."
        )
    return min_jaccard


def others(table: Shaped[Tensor, "n n"]) -> Bool[Tensor, "n n"]:
    """A table of the same size, False on the diagonal, where a sample meets itself, and True elsewhere."""
    return ~torch.eye(len(table), dtype=torch.bool, device=table.device)


def euclidean(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Distances between all embeddings; their gradient is 0 where the distance is 0."""
    return torch.cdist(x.float(), x.float(), compute_mode="donot_use_mm_for_euclid_dist")


def cosine(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Cosine similarities between all embeddings, in 32 bit even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        unit = F.normalize(x.float())
        return unit @ unit.T
