"""Softmax cross-entropy for tasks with one class for each sample.

Source: the plain classifier with which every result of metric learning must be compared.
Differs: nothing.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.losses._weights import class_weight
from models.output import Output


class CrossEntropy(Loss):
    """L = mean over samples of -Σ_l w_l·t_l·log softmax(z)_l."""

    trains_head = True
    exclusive = True
    soft_targets = True
    class_weight: Tensor | None

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        weight: Literal["none", "balanced"] = "none",
        label_smoothing: float = 0.0,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples of each class.
            weight: What w is: 1, or proportional to 1/p, so that each class weighs the same in total.
            label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1].

        Raises:
            ValueError: The label_smoothing lies outside its range.
        """
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"`loss.cross_entropy.label_smoothing`: must lie in [0, 1], got {label_smoothing}. "
                "0.1 is common."
            )
        self.label_smoothing = label_smoothing
        balanced = class_weight(prevalence) if weight == "balanced" else None
        self.register_buffer("class_weight", balanced, persistent=False)

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the batch."""
        return F.cross_entropy(
            output.logits.float(), targets, self.class_weight, label_smoothing=self.label_smoothing
        )
