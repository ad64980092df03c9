"""Attention from a map to its mirror image, which `mirror`, `mirror_binocular` and the context `mirror` share.

Source: Fang et al. 2023 (mirror attention) and its authors' code; see the component `mirror`.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Norm = Literal["cols", "rows"]
ValueFrom = Literal["original", "mirror"]


class Projection(nn.Module):
    """θ(x) = ReLU(BN(conv1x1(x))), as tokens."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU(inplace=True)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        """One token per position."""
        y: Tensor = self.net(x)
        return y.flatten(2).transpose(1, 2)


class MirrorBranch(nn.Module):
    """y = x + W·gather, where each position gathers values from the positions of the mirrored map that look like it.

    W starts at zero, so the branch starts as the identity.
    """

    def __init__(self, channels: int, norm: Norm, value_from: ValueFrom) -> None:
        """Builds the branch.

        Args:
            channels: of the map.
            norm: `cols` weighs the mirror positions so that what reaches one position sums to 1 (plain attention); `rows` weighs
                the receiving positions so that what leaves one mirror position sums to 1, as in the authors' code.
            value_from: takes the values from the map itself, as in the authors' code, or from the mirrored one.
        """
        super().__init__()
        dim = max(1, channels // 2)
        self.norm, self.value_from = norm, value_from
        self.key = Projection(channels, dim)
        self.value = nn.Conv2d(channels, dim, 1)
        self.out = nn.Conv2d(dim, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]  # a Conv2d has a bias unless told otherwise

    def forward(
        self, query: Float[Tensor, "b n d"], x: Float[Tensor, "b c h w"], mirrored: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """The map with what it gathered added.

        Args:
            query: tokens θ(x).
            x: the map.
            mirrored: the map of the mirror image, not turned back.
        """
        key = self.key(mirrored)
        value = self.value(mirrored if self.value_from == "mirror" else x).flatten(2).transpose(1, 2)
        if self.norm == "cols":
            gathered = F.scaled_dot_product_attention(query, key, value)
        else:
            gathered = (key @ query.transpose(1, 2) / query.shape[2] ** 0.5).softmax(2).transpose(
                1, 2
            ) @ value
        y: Tensor = x + self.out(gathered.transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))
        return y


class MirrorViews(nn.Module):
    """The map beside what it gathers from its left-right and from its upside-down mirror image."""

    def __init__(self, channels: int, norm: Norm, value_from: ValueFrom) -> None:
        super().__init__()
        self.query = Projection(channels, max(1, channels // 2))
        self.horizontal = MirrorBranch(channels, norm, value_from)
        self.vertical = MirrorBranch(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        flipped: tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]] | None,
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
        """Both attended maps.

        Args:
            x: the map.
            flipped: maps of the image's left-right and upside-down flips; None flips the map itself.
        """
        across, down = flipped or (x.flip(-1), x.flip(-2))
        query = self.query(x)
        return self.horizontal(query, x, across), self.vertical(query, x, down)
