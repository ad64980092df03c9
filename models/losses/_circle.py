"""The pair weights of the circle loss, for the losses `circle` and `fine_triplet`.

Source: Sun et al. 2020, arXiv 2002.10857, equations 5 and 6.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

NOTHING = -1e9  # finite, so that the gradient of a sum over no pair is 0 and not undefined


def weighted(
    similarity: Float[Tensor, " *s"], margin: float, *, detach: bool
) -> tuple[Float[Tensor, " *s"], Float[Tensor, " *s"]]:
    """-α_p·(s - Δ_p) and α_n·(s - Δ_n), with α_p = [1+m-s]₊, Δ_p = 1-m, α_n = [s+m]₊, Δ_n = m.

    Args:
        similarity: Similarity s of each pair.
        margin: Margin m.
        detach: Give the weights α no gradient.
    """
    alpha = similarity.detach() if detach else similarity
    matched = -(1 + margin - alpha).clamp(min=0) * (similarity - (1 - margin))
    unmatched = (alpha + margin).clamp(min=0) * (similarity - margin)
    return matched, unmatched


def soft_margin(
    matched: Float[Tensor, "*s n"],
    unmatched: Float[Tensor, "*s n"],
    positive: Bool[Tensor, "*s n"],
    negative: Bool[Tensor, "*s n"],
) -> Float[Tensor, " *s"]:
    """log(1 + Σ_positive exp(matched) · Σ_negative exp(unmatched)) over the last axis.

    It is 0 where either sum is empty.
    """
    matched = matched.masked_fill(~positive, NOTHING)
    unmatched = unmatched.masked_fill(~negative, NOTHING)
    return F.softplus(torch.logsumexp(matched, -1) + torch.logsumexp(unmatched, -1))
