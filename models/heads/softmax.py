"""One logit per class, a softmax over them: exactly one class per sample.

Source: the classifier of single-label tasks (DR grades, vitreous opacity or detachment).
Differs: nothing.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


class Softmax(nn.Module):
    """logits = W·dropout(x) + b, scores = softmax(logits).

    Attributes:
        exclusive: whether `encode` gives exactly one 1 per row; a loss with `exclusive` needs a head that agrees.
        multilabel_data: whether the data may carry several labels per sample.
    """

    exclusive = True
    multilabel_data = False

    def __init__(self, in_features: int, num_labels: int, *, dropout: float = 0.0) -> None:
        """Builds the linear layer.

        Args:
            in_features: length of the embedding.
            num_labels: number of classes.
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
        """Probability of each class; they sum to 1."""
        return logits.float().softmax(1)

    def encode(self, targets: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        """Targets in the space of the logits: the classes themselves."""
        return targets
