"""Focal loss: cross-entropy in which decisions that are already right weigh little.

Source: Lin et al. 2017, arXiv 1708.02002, equation 5.
Differs: averaged over all decisions of the batch, where the paper divides by the number of positive anchors.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.output import Output


class Focal(Loss):
    """L = mean of -α_t·(1-p_t)^γ·log p_t, p_t = σ(z) for a label that the sample has and 1-σ(z) otherwise."""

    trains_head = True
    exclusive = False

    def __init__(
        self, prevalence: Float[Tensor, " l"], *, gamma: float = 2.0, alpha: float | None = 0.25
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            gamma: Exponent γ, at least 0; 0 is plain cross-entropy.
            alpha: Weight of labels that the sample has, in [0, 1]; the others weigh 1-α. None gives all the
                weight 1.

        Raises:
            ValueError: The gamma or alpha lies outside its range.
        """
        super().__init__()
        if gamma < 0:
            raise ValueError(f"`loss.focal.gamma`: must be at least 0, got {gamma}. The paper uses 2.")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(
                f"`loss.focal.alpha`: must lie in [0, 1] or be null, got {alpha}. The paper uses 0.25."
            )
        self.gamma, self.alpha = gamma, alpha

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the batch."""
        z = output.logits.float()
        p = z.sigmoid()
        miss = p + targets - 2 * p * targets
        loss = miss**self.gamma * F.binary_cross_entropy_with_logits(z, targets, reduction="none")
        if self.alpha is not None:
            loss = loss * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        return loss.mean()
