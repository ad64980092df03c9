"""Average precision as a loss: the other samples of a batch are ranked by their similarity to each sample.

Similarities are sorted into bins, so that the rank of a sample has a gradient.

Source: Revaud et al. 2019, arXiv 1906.07589, section 3.2 (quantised average precision).
Differs: A sample is not among the samples that are ranked for it, and a sample without a match does not
count. With several labels in a sample, two samples match where their label sets overlap (Jaccard).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._pairs import check_jaccard, cosine, matches, others
from models.output import Output

SMALLEST = 1e-9  # keeps the precision of bins before the first sample defined


class AveragePrecision(Loss):
    """L = mean over samples of 1 - Σ_m P_m·Δr_m, with M bins of the cosine similarities.

    The bins have the centres b_m = 1 - (m-1)·Δ, Δ = 2/(M-1), and sample j lies in bin m by
    δ_jm = max(1 - |s_j - b_m|/Δ, 0). P_m = Σ_{m'≤m} Σ_j δ_jm'·y_j / Σ_{m'≤m} Σ_j δ_jm' is the precision,
    Δr_m = Σ_j δ_jm·y_j / Σ_j y_j the gain in recall, and y_j is 1 for a match.
    """

    trains_head = False
    exclusive = None
    centres: Tensor

    def __init__(self, prevalence: Float[Tensor, " l"], *, bins: int = 25, min_jaccard: float = 1.0) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            bins: Number of bins M, at least 2.
            min_jaccard: Label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__()
        if bins < 2:
            raise ValueError(
                f"`loss.average_precision.bins`: must be at least 2, got {bins}. The authors' code has 25."
            )
        self.register_buffer("centres", torch.linspace(1, -1, bins), persistent=False)
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the samples that have a match; 0 where none has one."""
        match = matches(targets, self.min_jaccard)
        other = others(match)
        positive = match & other
        width = 2 / (len(self.centres) - 1)
        gap = (cosine(output.fused)[:, :, None] - self.centres).abs()
        share = (1 - gap / width).clamp(min=0) * other[:, :, None]
        right = (share * positive[:, :, None]).sum(1)
        precision = right.cumsum(1) / share.sum(1).cumsum(1).clamp(min=SMALLEST)
        count = positive.sum(1)
        missed = (right * (1 - precision)).sum(1) / count.clamp(min=1)
        return missed.sum() / (count > 0).sum().clamp(min=1)
