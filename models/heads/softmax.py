"""One logit for each class, a softmax over them: exactly one class for each sample.

Source: the classifier of single-label tasks (DR grades, vitreous opacity or detachment).
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout
from models.contracts import Head


class Softmax(Head):
    """logits = W·dropout(x) + b, scores = softmax(logits)."""

    exclusive = True
    multilabel_data = False

    def __init__(self, in_features: int, num_labels: int, *, dropout: float = 0.0) -> None:
        """Builds the linear layer.

        Args:
            in_features: Length of the embedding.
            num_labels: Number of classes.
            dropout: Share of the embedding's features set to 0 in training, in [0, 1).

        Raises:
            ValueError: The dropout lies outside its range.
        """
        super().__init__()
        self.linear = nn.Sequential(nn.Dropout(check_dropout(dropout)), nn.Linear(in_features, num_labels))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        """The logits, one for each class."""
        y: Tensor = self.linear(x)
        return y

    def scores(self, logits: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The probability of each class; they sum to 1."""
        return logits.float().softmax(1)

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """The classes themselves."""
        return targets
