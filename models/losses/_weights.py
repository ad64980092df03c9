"""Weights from the labels' prevalence."""

from jaxtyping import Float
from torch import Tensor

LARGEST = 100.0  # a label of one sample in 1,000 must not outweigh all others


def positive_weight(prevalence: Float[Tensor, " l"]) -> Float[Tensor, " l"]:
    """(1 - p)/p, at most 100; 100 for a label that no training sample has."""
    return ((1 - prevalence) / prevalence.clamp(min=1e-9)).clamp(max=LARGEST)


def class_weight(prevalence: Float[Tensor, " l"]) -> Float[Tensor, " l"]:
    """1/p scaled to a prevalence-weighted mean of 1, each at most 100 times the smallest."""
    weight = 1 / prevalence.clamp(min=1e-9)
    weight = weight.clamp(max=LARGEST * weight.min())
    return weight / (prevalence * weight).sum()
