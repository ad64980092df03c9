"""Triplet loss: a match must be nearer than another sample by a margin.

Source: Schroff, Kalenichenko and Philbin 2015, arXiv 1503.03832, equation 1; `hard` is batch-hard of Hermans
et al. 2017.
Differs: Distances are not squared. With several labels in a sample, two samples match where their label sets
overlap (Jaccard).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._pairs import check_jaccard, euclidean, matches, others
from models.output import Output


class Triplet(Loss):
    """L = mean over triplets that cost anything of max(0, d(a, p) - d(a, n) + m)."""

    trains_head = False
    exclusive = None

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        margin: float = 0.2,
        mining: Literal["all", "semihard", "hard"] = "all",
        min_jaccard: float = 1.0,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            margin: Margin m, above 0; 0.05 to 0.3 for L2-normalised embeddings.
            mining: Which triplets count: all of the batch; those whose other sample is farther than the match
                (`semihard`); or, for each sample, its farthest match with its nearest other sample (`hard`).
            min_jaccard: Label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: The margin or min_jaccard lies outside its range.
        """
        super().__init__()
        if margin <= 0:
            raise ValueError(
                f"`loss.triplet.margin`: must be above 0, got {margin}. "
                "0.05 to 0.3 suit L2-normalised embeddings."
            )
        self.margin, self.mining = margin, mining
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the triplets that cost anything; 0 where there are none."""
        d = euclidean(output.fused)
        match = matches(targets, self.min_jaccard)
        positive, negative = match & others(d), ~match
        if self.mining == "hard":
            farthest = d.masked_fill(~positive, -torch.inf).amax(1)
            nearest = d.masked_fill(~negative, torch.inf).amin(1)
            cost = torch.where(positive.any(1) & negative.any(1), farthest - nearest + self.margin, 0.0)
        else:
            gap = d[:, :, None] - d[:, None, :]
            valid = positive[:, :, None] & negative[:, None, :]
            valid = valid & (gap < 0) if self.mining == "semihard" else valid
            cost = torch.where(valid, gap + self.margin, 0.0)
        cost = cost.clamp(min=0)
        return cost.sum() / (cost > 0).sum().clamp(min=1)
