"""Attention from a map to its mirror image: a part of `mirror`, `mirror_binocular` and the context `mirror`.

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
        """One token for each position."""
        y: Tensor = self.net(x)
        return y.flatten(2).transpose(1, 2)


class MirrorBranch(nn.Module):
    """y = x + W·gather, where each position gathers from the positions of the mirrored map that look like it.

    W starts at zero, so the branch starts as the identity.
    """

    def __init__(self, channels: int, norm: Norm, value_from: ValueFrom) -> None:
        """Builds the branch.

        Args:
            channels: Channels of the map.
            norm: `cols` makes the weights that reach a position sum to 1, as in plain attention. `rows` makes
                the weights that leave a mirrored position sum to 1, as in the authors' code.
            value_from: Where the values come from: the map itself, as in the authors' code, or the mirrored
                map.
        """
        super().__init__()
        dim = max(1, channels // 2)
        self.norm, self.value_from = norm, value_from
        self.key = Projection(channels, dim)
        self.value = nn.Conv2d(channels, dim, 1)
        self.out = nn.Conv2d(dim, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, query: Float[Tensor, "b n d"], x: Float[Tensor, "b c h w"], mirrored: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """The map, with what each position gathered added to it.

        Args:
            query: Tokens θ(x).
            x: The map.
            mirrored: Map of the mirrored image, as it came out: not turned back.
        """
        key = self.key(mirrored)
        value = self.value(mirrored if self.value_from == "mirror" else x).flatten(2).transpose(1, 2)
        if self.norm == "cols":
            heads = query[:, None], key[:, None], value[:, None]  # ONNX has attention by heads only
            gathered = F.scaled_dot_product_attention(*heads)[:, 0]
        else:
            logits = key @ query.transpose(1, 2) / query.shape[2] ** 0.5
            gathered = logits.softmax(2).transpose(1, 2) @ value
        y: Tensor = x + self.out(gathered.transpose(1, 2).unflatten(2, x.shape[2:]))
        return y


class MirrorViews(nn.Module):
    """The map with what it gathers from its left-right flip, and the same for its upside-down flip."""

    def __init__(self, channels: int, norm: Norm, value_from: ValueFrom) -> None:
        super().__init__()
        self.query = Projection(channels, max(1, channels // 2))
        self.horizontal = MirrorBranch(channels, norm, value_from)
        self.vertical = MirrorBranch(channels, norm, value_from)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        across: Float[Tensor, "b c h w"] | None,
        down: Float[Tensor, "b c h w"] | None,
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
        """Both attended maps.

        Args:
            x: The map.
            across: Map of the image's left-right flip; None flips the map itself.
            down: Map of the image's upside-down flip; None flips the map itself.
        """
        query = self.query(x)
        horizontal = self.horizontal(query, x, x.flip(-1) if across is None else across)
        vertical = self.vertical(query, x, x.flip(-2) if down is None else down)
        return horizontal, vertical
