"""One logit for each label, each with its own sigmoid.

Source: DMS-Net and BFPC-Net on ODIR-5K, whose labels are not exclusive.
Differs: BFPC-Net writes softmax; a softmax cannot give two labels to one patient (see the heads `pairwise`
and `powerset`).
"""

from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Head


class MultiLabel(Head):
    """logits = W·dropout(x) + b, scores = σ(logits)."""

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
        self.linear = nn.Sequential(nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, num_labels))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        """The logits, one for each label."""
        y: Tensor = self.linear(x)
        return y

    def scores(self, logits: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The probability of each label, independent of the others."""
        return logits.float().sigmoid()

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The labels themselves."""
        return targets
