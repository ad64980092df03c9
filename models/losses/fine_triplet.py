"""Fine triplet loss: circle loss over the whole batch, with a degree of relevance for each matching pair.

Source: Fang et al. 2023 (BSPC 80, 104277); the formula was read from the authors' public code.
Differs: The code's ratio of degrees depends on the order of the batch (`ratio_literal`); `symmetric` does
not. Degrees are at least 0.05, so that ratios stay finite for descriptors with negative values. Sums of
exponentials are computed in logarithms.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._circle import soft_margin, weighted
from models.losses._pairs import check_jaccard, cosine, matches, others
from models.output import Output

SMALLEST = 0.05


class FineTriplet(Loss):
    """L = log(1 + Σ_p exp(-r·α_p·(s_p - 1 + m)) · Σ_n exp(γ·α_n·(s_n - m))) over pairs i < j.

    The weights α have a gradient. deg_i is the cosine of the two halves of sample i's embedding: how far its
    two views agree. r_ij is γ without degrees, deg_j/deg_i (`ratio_literal`), or
    min(deg_i, deg_j)/max(deg_i, deg_j) (`symmetric`).
    """

    trains_head = False
    exclusive = None

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        margin: float = 0.25,
        gamma: float = 1.0,
        degree: Literal["none", "ratio_literal", "symmetric"] = "symmetric",
        detach_degree: bool = False,
        min_jaccard: float = 1.0,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            margin: Margin m, in [0, 1).
            gamma: Scale γ of the similarities, above 0; with 1 the loss is nearly linear, retrieval often
                takes 80.
            degree: How a matching pair is weighed.
            detach_degree: Give the degrees no gradient.
            min_jaccard: Label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__()
        if not 0 <= margin < 1 or gamma <= 0:
            raise ValueError(
                "`loss.fine_triplet`: margin must lie in [0, 1) and gamma above 0, "
                f"got {margin} and {gamma}. The authors use 0.25 and 1."
            )
        self.margin, self.gamma = margin, gamma
        self.degree, self.detach_degree = degree, detach_degree
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The loss of the batch; 0 where no two samples match, or all do."""
        match = matches(targets, self.min_jaccard)
        once = others(match).triu()
        matched, unmatched = weighted(cosine(output.fused), self.margin, detach=False)
        matched = self._relevance(output.fused) * matched
        parts = (matched, self.gamma * unmatched, match & once, ~match & once)
        return soft_margin(*(part.flatten() for part in parts))

    def _relevance(self, fused: Float[Tensor, "b d"]) -> Float[Tensor, "b b"] | float:
        """The factor r of each pair."""
        if self.degree == "none":
            return self.gamma
        half = fused.shape[1] // 2
        first, second = fused[:, :half].float(), fused[:, half : 2 * half].float()
        degree = F.cosine_similarity(first, second).clamp(min=SMALLEST)
        degree = degree.detach() if self.detach_degree else degree
        ratio = degree[None, :] / degree[:, None]
        return ratio if self.degree == "ratio_literal" else ratio.minimum(ratio.T)
