"""Fusion of decisions: the head judges each eye by itself, then the logits are joined.

Source: logit-level fusion, as compared in the ODIR literature; `noisy_or` states that a patient has a disease if an eye has it.
Differs: nothing.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.poolings import Pool, global_average, pool_views

SMALLEST = 1e-6


class Late(nn.Module):
    """logit = max or mean over views, or that of p = 1 - Π_v (1 - σ(logit_v)); the fused vector is the views' mean."""

    symmetric = True
    late = True

    def __init__(
        self, channels: int, num_views: int, *, rule: Literal["max", "mean", "noisy_or"] = "max"
    ) -> None:
        """Notes the widths.

        Args:
            channels: of each view's map.
            num_views: 1 or 2.
            rule: how the logits of the views are joined.
        """
        super().__init__()
        self.rule = rule
        self.out_features = channels

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """The mean of the views' vectors."""
        return pool_views(maps, pool).mean(1)

    def combine(self, logits: Float[Tensor, "b v m"]) -> Float[Tensor, "b m"]:
        """The sample's logits from those of its views."""
        if self.rule == "max":
            return logits.amax(1)
        if self.rule == "mean":
            return logits.mean(1)
        log_none = (
            F.logsigmoid(-logits.float()).sum(1).clamp(max=-SMALLEST)
        )  # log of the chance that no view has it
        return (-log_none.expm1()).log() - log_none
