"""Supervised contrastive loss: a softmax tells each match of a sample from all other samples.

Source: Khosla et al. 2020, arXiv 2004.11362, equation 2.
Differs: There is one view of each sample. With several labels in a sample, two samples match where their
label sets overlap (Jaccard).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._pairs import check_jaccard, cosine, matches, others
from models.output import Output


class SupCon(Loss):
    """L = mean over samples i of -1/|P_i|·Σ_{p in P_i} log(exp(s_ip/τ) / Σ_{a≠i} exp(s_ia/τ)).

    P_i are the matches of sample i; a sample without a match does not count.
    """

    trains_head = False
    exclusive = None

    def __init__(
        self, prevalence: Float[Tensor, " l"], *, temperature: float = 0.1, min_jaccard: float = 1.0
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            temperature: Temperature τ, above 0; 0.07 to 0.1 are common.
            min_jaccard: Label overlap from which two samples match, in (0, 1].

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__()
        if temperature <= 0:
            raise ValueError(
                f"`loss.supcon.temperature`: must be above 0, got {temperature}. 0.07 to 0.1 are common."
            )
        self.temperature = temperature
        self.min_jaccard = check_jaccard(min_jaccard)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the samples that have a match; 0 where none has one."""
        s = cosine(output.fused) / self.temperature
        other = others(s)
        positive = matches(targets, self.min_jaccard) & other
        log_share = s - s.masked_fill(~other, torch.finfo(s.dtype).min).logsumexp(1, keepdim=True)
        count = positive.sum(1)
        loss = -(log_share * positive).sum(1) / count.clamp(min=1)
        return loss.sum() / (count > 0).sum().clamp(min=1)
