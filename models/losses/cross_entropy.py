"""Softmax cross-entropy for tasks with one class per sample.

Source: the plain classifier that every metric-learning result must be compared with.
Differs: nothing.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.losses._weights import class_weight
from models.siamese import Output


class CrossEntropy(nn.Module):
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
            prevalence: share of training samples of each class.
            weight: w = 1, or w proportional to 1/p, so that each class weighs the same in total.
            label_smoothing: share of the target spread evenly over all classes, in [0, 1].

        Raises:
            ValueError: label_smoothing outside its range.
        """
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"`loss.cross_entropy.label_smoothing`: must lie in [0, 1], got {label_smoothing}. Common is 0.1."
            )
        self.label_smoothing = label_smoothing
        self.register_buffer(
            "class_weight", class_weight(prevalence) if weight == "balanced" else None, persistent=False
        )

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the batch; targets may be soft."""
        return F.cross_entropy(
            output.logits.float(), targets, self.class_weight, label_smoothing=self.label_smoothing
        )
