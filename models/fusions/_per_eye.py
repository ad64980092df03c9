"""Layers with one set of weights for each eye, or with one set for both, applied to both eyes at once."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PerEyeLinear(nn.Module):
    """y_v = x_v W_v + b_v."""

    def __init__(self, eyes: int, in_features: int, out_features: int) -> None:
        """Draws the weights as torch's own linear layer does.

        Args:
            eyes: 2 gives each eye its own weights, 1 shares them.
            in_features: Width of the tokens.
            out_features: Width of the tokens that come out.
        """
        super().__init__()
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(eyes, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(eyes, 1, out_features).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "b v n d"]) -> Float[Tensor, "b v n e"]:
        """The mapped tokens of both eyes."""
        return x @ self.weight + self.bias


class PerEyeNorm(nn.Module):
    """y_v = w_v·LayerNorm(x_v) + b_v."""

    def __init__(self, eyes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(eyes, 1, dim))
        self.bias = nn.Parameter(torch.zeros(eyes, 1, dim))

    def forward(self, x: Float[Tensor, "b v n d"]) -> Float[Tensor, "b v n d"]:
        """The normalised tokens of both eyes."""
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class PerEyeShare(nn.Module):
    """σ(s_v), a learned share in (0, 1) for each eye."""

    def __init__(self, eyes: int, start: float) -> None:
        """Sets the share at the start.

        Args:
            eyes: 2 gives each eye its own share, 1 gives both a common one.
            start: Value of s at the start; 0 is a share of 0.5, 2 is one of 0.88.
        """
        super().__init__()
        self.raw = nn.Parameter(torch.full((eyes, 1, 1), float(start)))

    def forward(self) -> Float[Tensor, "v 1 1"]:
        """The shares."""
        return self.raw.sigmoid()
