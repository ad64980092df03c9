"""Two logits for each label, "has it" and "has it not", with a softmax over the two.

Source: the most charitable reading of BFPC-Net (Li et al. 2022), which names softmax for labels that occur
together.
Differs: The head gives the difference of the two logits; the sigmoid of it is the same softmax.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Head


class Pairwise(Head):
    """logit = z_has - z_has_not, score = exp(z_has) / (exp(z_has) + exp(z_has_not)) = σ(logit)."""

    exclusive = False
    multilabel_data = True

    def __init__(self, in_features: int, num_labels: int, *, dropout: float = 0.0) -> None:
        """Builds the linear layer.

        Args:
            in_features: Length of the embedding.
            num_labels: Number of labels.
            dropout: Share of the embedding's features set to 0 in training, in [0, 1).

        Raises:
            ValueError: The dropout lies outside its range.
        """
        super().__init__()
        self.linear = nn.Sequential(
            nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, 2 * num_labels)
        )

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        """The logits, one for each label."""
        without, has = torch.unflatten(self.linear(x), 1, (2, -1)).unbind(1)
        return has - without

    def scores(self, logits: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The probability of each label, independent of the others."""
        return logits.float().sigmoid()

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The labels themselves."""
        return targets
