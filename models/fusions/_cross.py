"""Multi-head attention from one eye's tokens to the other's, with weights that both eyes share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models._dropout import check_dropout


def check_heads(dim: int, heads: int) -> None:
    """Passes where the heads share the width evenly.

    Raises:
        ValueError: The heads do not divide the width, or either is below 1.
    """
    if min(dim, heads) < 1 or dim % heads:
        raise ValueError(f"`fusion.heads`: must divide the width {dim}, got {heads}. Powers of two fit.")


def attend(
    query: Float[Tensor, "b v n d"],
    key: Float[Tensor, "b v n d"],
    value: Float[Tensor, "b v n d"],
    heads: int,
    dropout: float,
) -> Float[Tensor, "b v n d"]:
    """softmax(q kᵀ/√(d/heads)) v for each eye and each of `heads` equal parts of the features."""
    q, k, v = (torch.unflatten(x.flatten(0, 1), 2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    z = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    return torch.unflatten(z.transpose(1, 2).flatten(2), 0, query.shape[:2])


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
        """What the tokens of each eye gather from the other eye."""
        key, value = self.key_value(x.flip(1)).chunk(2, 3)
        dropout = self.dropout if self.training else 0.0
        y: Tensor = self.out(attend(self.query(x), key, value, self.heads, dropout))
        return y


def feed_forward(dim: int, dropout: float) -> nn.Sequential:
    """A linear layer to four times the width, GELU, and a linear layer back, with dropout after each."""
    return nn.Sequential(
        nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout)
    )


def tokens(maps: Float[Tensor, "b v d h w"]) -> Float[Tensor, "b v n d"]:
    """One token for each position."""
    return maps.flatten(3).transpose(2, 3)
