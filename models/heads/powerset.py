"""One class per label set: a softmax over the sets of labels that occur.

Source: label powerset (Tsoumakas and Katakis 2007); a reading of BFPC-Net (Li et al. 2022), which names softmax for ODIR-5K.
Differs: nothing. A set that training never showed cannot be predicted; as a target it counts as the most similar known one.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


class Powerset(nn.Module):
    """logits over label sets S, score of label l = Σ over S with l of softmax(logits)_S."""

    exclusive = True
    multilabel_data = True
    soft_targets = False
    wants_label_sets = True
    sets: Tensor

    def __init__(
        self, in_features: int, num_labels: int, label_sets: Float[Tensor, "m l"], *, dropout: float = 0.0
    ) -> None:
        """Builds the linear layer.

        Args:
            in_features: length of the embedding.
            num_labels: number of labels.
            label_sets: the distinct label rows of the training split, 0 or 1; kept with the weights.
            dropout: share of the embedding's features set to 0 while training, in [0, 1).

        Raises:
            ValueError: dropout outside its range.
        """
        super().__init__()
        self.register_buffer("sets", label_sets.float())
        self.linear = nn.Sequential(
            nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, len(self.sets))
        )

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """Logits, one per label set."""
        y: Tensor = self.linear(x)
        return y

    def scores(self, logits: Float[Tensor, "b m"]) -> Float[Tensor, "b l"]:
        """Probability of each label: of all sets that hold it."""
        return logits.float().softmax(1) @ self.sets.to(logits.device)

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b m"]:
        """1 at the label set with the largest overlap (Jaccard), which is the set itself where it is known."""
        both = targets @ self.sets.T
        either = targets.sum(1, keepdim=True) + self.sets.sum(1) - both
        overlap = torch.where(either > 0, both / either.clamp(min=1), 1.0)
        return nn.functional.one_hot(overlap.argmax(1), len(self.sets)).to(targets)
