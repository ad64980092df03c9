"""Circle loss: matching pairs are made more alike, other pairs less alike.

The weight of a pair grows with its distance from the optimum.

Source: Sun et al. 2020, arXiv 2002.10857, equation 6.
Differs: With several labels in a sample, two samples match where their label sets overlap (Jaccard). `scope:
batch` puts every pair of the batch into one sum, as Fang et al. 2023 do.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._circle import soft_margin, weighted
from models.losses._pairs import check_jaccard, cosine, matches, others
from models.output import Output


class Circle(Loss):
    """L = log(1 + Σ_p exp(-γ·α_p·(s_p - 1 + m)) · Σ_n exp(γ·α_n·(s_n - m))).

    α_p = [1+m-s_p]₊ and α_n = [s_n+m]₊ get no gradient.
    """

    trains_head = False
    exclusive = None

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        margin: float = 0.4,
        gamma: float = 80.0,
        scope: Literal["anchor", "batch"] = "anchor",
        min_jaccard: float = 1.0,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            margin: Margin m, in [0, 1).
            gamma: Scale γ of the similarities, above 0.
            scope: Which pairs stand in one sum: those of one sample, with the mean over all samples that have
                a match and another sample; or all pairs of the batch.
            min_jaccard: Label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__()
        if not 0 <= margin < 1 or gamma <= 0:
            raise ValueError(
                "`loss.circle`: margin must lie in [0, 1) and gamma above 0, "
                f"got {margin} and {gamma}. Retrieval uses 0.4 and 80."
            )
        self.margin, self.gamma, self.scope = margin, gamma, scope
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The loss of the batch; 0 where no two samples match, or all do."""
        match = matches(targets, self.min_jaccard)
        positive, negative = match & others(match), ~match
        matched, unmatched = weighted(cosine(output.fused), self.margin, detach=True)
        matched, unmatched = self.gamma * matched, self.gamma * unmatched
        if self.scope == "batch":
            once = others(match).triu()
            parts = (matched, unmatched, positive & once, negative & once)
            return soft_margin(*(part.flatten() for part in parts))
        loss = soft_margin(matched, unmatched, positive, negative)
        both = positive.any(1) & negative.any(1)
        return (loss * both).sum() / both.sum().clamp(min=1)
