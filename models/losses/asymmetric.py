"""Asymmetric loss: easy negatives weigh less than easy positives, and very easy negatives weigh nothing.

Source: Ridnik et al. 2021, arXiv 2009.14119, equations 4 to 7.
Differs: averaged over all decisions of the batch, where the authors sum.
"""

from jaxtyping import Float
from torch import Tensor

from models.contracts import Loss
from models.output import Output

SMALLEST = 1e-8


class Asymmetric(Loss):
    """L = -mean of t·(1-p)^γ₊·log p + (1-t)·q^γ₋·log(1-q), q = max(p - clip, 0)."""

    trains_head = True
    exclusive = False
    soft_targets = True

    def __init__(
        self,
        prevalence: Float[Tensor, " l"],
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
    ) -> None:
        """Builds the loss.

        Args:
            prevalence: Share of training samples with each label; not used.
            gamma_neg: Exponent γ₋, at least 0.
            gamma_pos: Exponent γ₊, at least 0.
            clip: Probability up to which a label that the sample does not have costs nothing, in [0, 1).

        Raises:
            ValueError: An argument lies outside its range.
        """
        super().__init__()
        if min(gamma_neg, gamma_pos) < 0 or not 0 <= clip < 1:
            raise ValueError(
                "`loss.asymmetric`: gammas must be at least 0 and clip in [0, 1), "
                f"got {gamma_neg}, {gamma_pos} and {clip}. The paper has 4, 0 and 0.05."
            )
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip

    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The mean loss of the batch."""
        p = output.logits.float().sigmoid()
        not_p = (1 - p + self.clip).clamp(max=1)
        # A power below 1 has no finite slope at 0, where every clipped label stands.
        carried = (1 - p).clamp(min=SMALLEST) ** self.gamma_pos * p.clamp(min=SMALLEST).log()
        other = (1 - not_p).clamp(min=SMALLEST) ** self.gamma_neg * not_p.clamp(min=SMALLEST).log()
        return -(targets * carried + (1 - targets) * other).mean()
