"""CAFM: two ways in which the maps of both eyes can look at each other before they are compared.

Source: DMS-Net names the module and does not define it. `ChannelSpatialCross` is the block that is published
elsewhere under the name cross attention fusion module; `HeadsCross` is multi-head cross-attention.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.fusions._cross import CrossAttention, tokens


class ChannelSpatialCross(nn.Module):
    """f' = f + f·s, s = softmax over positions of conv3x3(ReLU(conv3x3([mean; max] of softmax(a aᵒᵀ) f))).

    a = MLP(mean over positions) + MLP'(max over positions) of the eye, aᵒ of the other eye; both eyes share
    all weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean_mlp = _mlp(channels)
        self.max_mlp = _mlp(channels)
        self.place = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 1, 3, padding=1)
        )

    def forward(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c h w"]:
        """The maps of both eyes, weighed by position."""
        a = self.mean_mlp(maps.mean((3, 4))) + self.max_mlp(maps.amax((3, 4)))
        alike = (a[..., :, None] * a.flip(1)[..., None, :]).softmax(3)
        mixed = alike @ maps.flatten(3)
        seen = torch.stack([mixed.mean(2), mixed.amax(2)], 2)
        place = self.place(torch.unflatten(seen, 3, maps.shape[3:]).flatten(0, 1)).flatten(1).softmax(1)
        y: Tensor = maps + maps * place.reshape(*maps.shape[:2], 1, *maps.shape[3:])
        return y


def _mlp(channels: int) -> nn.Sequential:
    hidden = max(1, channels // 2)
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))


class HeadsCross(nn.Module):
    """f' = f + cross(LN f)."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.cross = CrossAttention(channels, heads, dropout)

    def forward(self, maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c h w"]:
        """The maps of both eyes, with what they gathered from each other."""
        gathered = self.cross(self.norm(tokens(maps)))
        return maps + torch.unflatten(gathered.transpose(2, 3), 3, maps.shape[3:])


def cosine_map(maps: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v 1 h w"]:
    """Cosine similarity between the features of both eyes at each position; the same map for each eye."""
    unit = F.normalize(maps.float(), dim=2)
    return unit.prod(1).sum(1)[:, None, None].expand(-1, maps.shape[1], -1, -1, -1)
