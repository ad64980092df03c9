"""CCAM and CIAM: a path for the differences between the two eyes, and a path for what they share.

Source: DMS-Net (Huo et al. 2025) names both and gives no equations; see the component `dual_synergy`. Both
gates have batch norm before the sigmoid, because |g_l - g_r| is nowhere negative: without it a step can move
all logits the same way, until the gate is 0 or 1 everywhere.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fusions._cafm import cosine_map
from models.fusions._dense_path import DensePath
from models.gates import Gate

Discrepancy = Literal["absolute", "signed", "cosine"]
Similarity = Literal["product", "cosine"]


class Ccam(nn.Module):
    """y_v = dense([f_v·σ(BN(conv1x1 D_v)); D_v])."""

    def __init__(self, dim: int, discrepancy: Discrepancy, layers: int, growth: int) -> None:
        """Builds the gate and the dense path, which both eyes share.

        Args:
            dim: Channels of f and of g.
            discrepancy: What D is: |g_l - g_r|, g_v minus the g of the other eye, or 1 - cosine at each
                position.
            layers: Layers of the dense path.
            growth: Channels that a layer adds.
        """
        super().__init__()
        self.discrepancy = discrepancy
        width = 1 if discrepancy == "cosine" else dim
        self.gate = Gate(nn.Conv2d(width, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.path = DensePath(dim + width, dim, layers, growth)

    def forward(
        self, f: Float[Tensor, "b v d h w"], g: Float[Tensor, "b v d h w"]
    ) -> Float[Tensor, "b v d h w"]:
        """The map of differences of each eye; g decides how f is gated."""
        if self.discrepancy == "cosine":
            d = (1 - cosine_map(g)).to(f.dtype)
        else:
            d = g - g.flip(1)
            d = d.abs() if self.discrepancy == "absolute" else d
        x, d = f.flatten(0, 1), d.flatten(0, 1)
        return torch.unflatten(self.path(torch.cat([x * self.gate(d), d], 1)), 0, f.shape[:2])


class Ciam(nn.Module):
    """y_v = dense(f_v·σ(BN(conv1x1 S))) + f_v."""

    def __init__(self, dim: int, similarity: Similarity, layers: int, growth: int) -> None:
        """Builds the gate and the dense path, which both eyes share.

        Args:
            dim: Channels of f and of g.
            similarity: What S is: g_l ⊙ g_r, or the cosine at each position.
            layers: Layers of the dense path.
            growth: Channels that a layer adds.
        """
        super().__init__()
        self.similarity = similarity
        width = 1 if similarity == "cosine" else dim
        self.gate = Gate(nn.Conv2d(width, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.path = DensePath(dim, dim, layers, growth)

    def forward(
        self, f: Float[Tensor, "b v d h w"], g: Float[Tensor, "b v d h w"]
    ) -> Float[Tensor, "b v d h w"]:
        """The map of similarities of each eye; g decides how f is gated."""
        s = cosine_map(g).to(f.dtype) if self.similarity == "cosine" else g * g.flip(1)
        x = f.flatten(0, 1)
        return torch.unflatten(self.path(x * self.gate(s.flatten(0, 1))) + x, 0, f.shape[:2])
