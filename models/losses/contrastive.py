"""Contrastive loss: matching samples are pulled together, others are pushed apart up to a margin.

Source: Hadsell, Chopra and LeCun 2006; SVK_MA (Tan et al. 2023), equation 4, whose label is 1 for a match.
Differs: SVK_MA draws pairs of images at random before training; here they are drawn inside each batch. With
several labels in a sample, two samples match where their label sets overlap (Jaccard). `linear` is the form
of the libraries, whose distances are not squared.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.contracts import Loss
from models.losses._pairs import check_jaccard, euclidean, matches, others
from models.output import Output


class Contrastive(Loss):
    """L = 1/(2N)·Σ over N pairs of [y·d² + (1-y)·max(m-d, 0)²]; `linear`: 1/N·Σ [y·d + (1-y)·max(m-d, 0)]."""

    trains_head = False
    exclusive = None

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        margin: float = 1.0,
        pairs: Literal["random", "balanced", "all_in_batch", "hard"] = "all_in_batch",
        form: Literal["squared", "linear"] = "squared",
        min_jaccard: float = 1.0,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            margin: Distance beyond which a pair that does not match costs nothing; above 0. L2-normalised
                embeddings lie at most 2 apart, so 0.3 to 1.5 is common for them, and 1 to 2 for others.
            pairs: Which pairs count. `random` gives each sample one other sample; `balanced` one match and
                one other; `hard` the farthest match and the nearest other; `all_in_batch` takes every pair
                once.
            form: Whether the distances are squared, as in the papers, or not.
            min_jaccard: Label overlap from which two samples match, in (0, 1]; 1 is the same label set.

        Raises:
            ValueError: The margin or min_jaccard lies outside its range.
        """
        super().__init__()
        if margin <= 0:
            raise ValueError(
                f"`loss.contrastive.margin`: must be above 0, got {margin}. "
                "1.0 suits L2-normalised embeddings."
            )
        self.margin, self.pairs, self.form = margin, pairs, form
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the chosen pairs; 0 where there are none."""
        d = euclidean(output.fused)
        match = matches(targets, self.min_jaccard)
        hinge = (self.margin - d).clamp(min=0)
        if self.form == "squared":
            loss = torch.where(match, d**2, hinge**2) / 2
        else:
            loss = torch.where(match, d, hinge)
        weight = self._choose(d.detach(), match)
        return (weight * loss).sum() / weight.sum().clamp(min=1)

    def _choose(self, d: Float[Tensor, "b b"], match: Bool[Tensor, "b b"]) -> Float[Tensor, "b b"]:
        """How often each pair counts."""
        other = others(d)
        if self.pairs == "all_in_batch":
            return other.triu().to(d)
        if self.pairs == "random":
            return _best(torch.rand_like(d), other)
        score = d if self.pairs == "hard" else torch.rand_like(d)
        return _best(score, match & other) + _best(-score, ~match)


def _best(score: Float[Tensor, "b b"], allowed: Bool[Tensor, "b b"]) -> Float[Tensor, "b b"]:
    """1 at the highest allowed score of each row, 0 elsewhere and in a row where none is allowed."""
    best = score.masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(score).scatter(1, best, 1.0) * allowed
