"""Two logits per label, "has it" and "has it not", with a softmax over the two.

Source: the most charitable reading of BFPC-Net (Li et al. 2022), which names softmax for labels that occur together.
Differs: the two logits come out as their difference, of which a sigmoid is the same softmax.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


class Pairwise(nn.Module):
    """logit = z_has - z_has_not, score = exp(z_has) / (exp(z_has) + exp(z_has_not)) = σ(logit)."""

    exclusive = False
    multilabel_data = True

    def __init__(self, in_features: int, num_labels: int, *, dropout: float = 0.0) -> None:
        """Builds the linear layer.

        Args:
            in_features: length of the embedding.
            num_labels: number of labels.
            dropout: share of the embedding's features set to 0 while training, in [0, 1).

        Raises:
            ValueError: dropout outside its range.
        """
        super().__init__()
        self.linear = nn.Sequential(
            nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, 2 * num_labels)
        )

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        """Logits."""
        without, has = torch.unflatten(self.linear(x), 1, (2, -1)).unbind(1)
        return has - without

    def scores(self, logits: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """Probability of each label, independent of the others."""
        return logits.float().sigmoid()

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """Targets in the space of the logits: the labels themselves."""
        return targets
