"""One class for each label set: a softmax over the sets of labels that occur.

Source: label powerset (Tsoumakas and Katakis 2007); a reading of BFPC-Net (Li et al. 2022), which names
softmax for ODIR-5K.
Differs: nothing. A set that did not occur in training cannot be predicted; as a target it counts as the most
similar known set.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Head


class Powerset(Head):
    """logits over label sets S, score of label l = Σ over S with l of softmax(logits)_S.

    Attributes:
        sets: The label sets, "m l", 0 or 1; a buffer, so that they are stored with the weights.
    """

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
            in_features: Length of the embedding.
            num_labels: Number of labels.
            label_sets: The distinct rows of labels in the training split, 0 or 1.
            dropout: Share of the embedding's features set to 0 in training, in [0, 1).

        Raises:
            ValueError: The dropout lies outside its range.
        """
        super().__init__()
        self.register_buffer("sets", label_sets.float())
        self.linear = nn.Sequential(
            nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, len(self.sets))
        )

    @property
    def label_sets(self) -> Float[Tensor, "m l"]:
        """The label sets that the head was built with."""
        return self.sets

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """The logits, one for each label set."""
        y: Tensor = self.linear(x)
        return y

    def scores(self, logits: Float[Tensor, "b m"]) -> Float[Tensor, "b l"]:
        """The probability of each label: the sum over all sets that have it."""
        return logits.float().softmax(1) @ self.sets.to(logits.device)

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b m"]:
        """1 at the label set with the largest overlap (Jaccard), 0 elsewhere.

        A known set overlaps most with itself.
        """
        both = targets @ self.sets.T
        either = targets.sum(1, keepdim=True) + self.sets.sum(1) - both
        overlap = torch.where(either > 0, both / either.clamp(min=1), 1.0)
        return nn.functional.one_hot(overlap.argmax(1), len(self.sets)).to(targets)
