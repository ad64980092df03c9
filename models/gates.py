"""Gates: factors between 0 and 1 that a map is multiplied by.

Every sigmoid gate of the project is of the one class `Gate`, so that the gates of a network can be found and
watched. Not among them are the gates of pretrained backbones, which are not ours; the views' shares in the
fusion `gated`, which sum to 1 and so cannot all close; and the learned numbers λ, α and β of the fusion
`casfm`, which depend on no image and may well rest at 0 or 1.
"""

import torch
from torch import Tensor, nn


class Gate(nn.Sequential):
    """σ(layers(x)), and σ(x) without layers."""

    def forward(self, x: Tensor) -> Tensor:
        """The factors, in the shape of what the layers give."""
        logits: Tensor = super().forward(x)
        return torch.sigmoid(logits)
