"""Fusion of decisions: the head judges each eye by itself, then the logits are joined.

Source: fusion of logits, as compared in the ODIR literature; `noisy_or` states that a patient has a disease
if an eye has it.
Differs: nothing.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.contracts import LateFusion
from models.poolings import Pool, global_average, pool_views

SMALLEST = 1e-6


class Late(LateFusion):
    """logit = max or mean over views, or that of p = 1 - Π_v (1 - σ(logit_v)).

    The fused vector is the mean of the views' vectors.
    """

    def __init__(
        self, channels: int, num_views: int, *, rule: Literal["max", "mean", "noisy_or"] = "max"
    ) -> None:
        """Sets the rule.

        Args:
            channels: Channels of each view's map.
            num_views: 1 or 2.
            rule: How the logits of the views are joined.
        """
        super().__init__(out_features=channels, symmetric=True, pools_first=True)
        self.rule = rule

    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """The mean of the views' vectors."""
        return pool_views(maps, pool).mean(1)

    def combine(self, logits: Float[Tensor, "b v m"]) -> Float[Tensor, "b m"]:
        """The logits of each sample from those of its views."""
        if self.rule == "max":
            return logits.amax(1)
        if self.rule == "mean":
            return logits.mean(1)
        # log of the probability that no view has it
        log_none = F.logsigmoid(-logits.float()).sum(1).clamp(max=-SMALLEST)
        return (-log_none.expm1()).log() - log_none
