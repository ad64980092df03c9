"""Multi-head attention from one eye's tokens to the other's, with weights that both eyes share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


def check_heads(dim: int, heads: int) -> None:
    """Passes where the heads share the width evenly.

    Raises:
        ValueError: otherwise, or where either is below 1.
    """
    if min(dim, heads) < 1 or dim % heads:
        raise ValueError(f"`fusion.heads`: must divide the width {dim}, got {heads}. Powers of two fit.")


def split_heads(x: Float[Tensor, "b v n d"], heads: int) -> Float[Tensor, "b v k n e"]:
    """Cuts the features of each token into `heads` parts."""
    return torch.unflatten(x, 3, (heads, -1)).transpose(2, 3)


def join_heads(x: Float[Tensor, "b v k n e"]) -> Float[Tensor, "b v n d"]:
    """Lays the parts side by side again."""
    return x.transpose(2, 3).flatten(3)


class CrossAttention(nn.Module):
    """z_l = W_o·attention(W_q l, W_k r, W_v r), z_r likewise."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads, self.dropout = heads, check_dropout(dropout)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b v n d"]) -> Float[Tensor, "b v n d"]:
        """What each eye's tokens gather from the other eye."""
        query = split_heads(self.query(x), self.heads)
        key, value = (split_heads(part, self.heads) for part in self.key_value(x.flip(1)).chunk(2, 3))
        z = F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout if self.training else 0.0)
        y: Tensor = self.out(join_heads(z))
        return y


def feed_forward(dim: int, dropout: float) -> nn.Sequential:
    """Linear to four times the width, GELU, and back, with dropout after each."""
    return nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout))


def tokens(maps: Float[Tensor, "b v d h w"]) -> Float[Tensor, "b v n d"]:
    """One token per position."""
    return maps.flatten(3).transpose(2, 3)
