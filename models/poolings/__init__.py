"""Poolings turn a map into a vector; `models.contracts.Pooling` is the contract.

Fusions are given the pooling that the study file chose.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Pool = Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b c"]]


def global_average(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
    """z_c = mean over all positions of x_c."""
    return x.mean((2, 3))


def pool_views(maps: Float[Tensor, "b v c h w"], pool: Pool) -> Float[Tensor, "b v c"]:
    """Pools the map of every view by itself."""
    return torch.unflatten(pool(maps.flatten(0, 1)), 0, maps.shape[:2])
