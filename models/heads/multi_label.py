"""One logit per label, each with its own sigmoid.

Source: DMS-Net and BFPC-Net on ODIR-5K, whose labels are not exclusive.
Differs: BFPC-Net writes softmax; a softmax cannot give two labels to one patient (see the heads `pairwise` and `powerset`).
"""

from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


class MultiLabel(nn.Module):
    """logits = W·dropout(x) + b, scores = σ(logits).

    Attributes:
        exclusive: whether `encode` gives exactly one 1 per row; a loss with `exclusive` needs a head that agrees.
        multilabel_data: whether the data may carry several labels per sample.
    """

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
        self.linear = nn.Sequential(nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, num_labels))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        """Logits."""
        y: Tensor = self.linear(x)
        return y

    def scores(self, logits: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """Probability of each label, independent of the others."""
        return logits.float().sigmoid()

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """Targets in the space of the logits: the labels themselves."""
        return targets
