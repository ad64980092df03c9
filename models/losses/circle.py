"""Circle loss: similarities of matches and of others are pushed apart, each the harder the farther it is from its optimum.

Source: Sun et al. 2020, arXiv 2002.10857, equation 6.
Differs: with several labels per sample a match is an overlap of the label sets (Jaccard). `scope: batch` puts every pair of the
batch into one sum, as Fang et al. 2023 do.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from models.losses._circle import soft_margin, weighted
from models.losses._pairs import check_jaccard, cosine, matches, others
from models.siamese import Output


class Circle(nn.Module):
    """L = log(1 + Σ_p exp(-γ·α_p·(s_p - 1 + m)) · Σ_n exp(γ·α_n·(s_n - m))), α_p = [1+m-s_p]₊, α_n = [s_n+m]₊ held fixed."""

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
            prevalence: share of training samples that carry each label; not used.
            margin: m, in [0, 1).
            gamma: scale of the similarities, above 0.
            scope: the mean over samples that have both kinds of partner, or one sum over all pairs of the batch.
            min_jaccard: label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: an argument outside its range.
        """
        super().__init__()
        if not 0 <= margin < 1 or gamma <= 0:
            got = f"{margin} and {gamma}"
            raise ValueError(
                f"`loss.circle`: margin must lie in [0, 1) and gamma above 0, got {got}. Retrieval uses 0.4 and 80."
            )
        self.margin, self.gamma, self.scope = margin, gamma, scope
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The loss of the batch; 0 where it has no match or nothing else."""
        match = matches(targets, self.min_jaccard)
        positive, negative = match & others(match), ~match
        matched, unmatched = weighted(cosine(output.fused), self.margin, detach=True)
        if self.scope == "batch":
            once = others(match).triu()
            flat = [
                part.flatten()
                for part in (self.gamma * matched, self.gamma * unmatched, positive & once, negative & once)
            ]
            return soft_margin(*flat)
        loss = soft_margin(self.gamma * matched, self.gamma * unmatched, positive, negative)
        both = positive.any(1) & negative.any(1)
        return (loss * both).sum() / both.sum().clamp(min=1)
