"""Binary cross-entropy, one decision for each label.

Source: the default for ODIR-5K's eight labels.
Differs: `balanced` bounds the weight of rare labels at 100.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._weights import positive_weight
from models.output import Output


class Bce(Loss):
    """L = mean over samples and labels of -[w·t·log σ(z) + (1-t)·log(1-σ(z))]."""

    trains_head = True
    exclusive = False
    soft_targets = True
    pos_weight: Tensor | None

    def __init__(
        self, prevalence: Float[Tensor, " l"], *, pos_weight: Literal["none", "balanced"] = "none"
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label.
            pos_weight: What w is: 1, or (1-p)/p for each label, so that samples with it weigh as much as all
                others.
        """
        super().__init__()
        weight = positive_weight(prevalence) if pos_weight == "balanced" else None
        self.register_buffer("pos_weight", weight, persistent=False)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the batch."""
        return F.binary_cross_entropy_with_logits(output.logits.float(), targets, pos_weight=self.pos_weight)
