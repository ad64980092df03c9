"""CutMix: a rectangle of a training image is replaced by the same rectangle of another training sample's image.

Source: Yun et al. 2019, arXiv 1905.04899, for λ, the rectangle and the mixed labels (`standard`); DMS-Net (Huo et al.), which mixes
samples of the same classes and keeps the labels (`same_label`), and does not say how it draws the rectangle.
Differs: after the other augmentations, which both samples have had; DMS-Net enlarges its data set by the mixed images beforehand.
The other sample is any of the training split, not only of the batch.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor


@dataclass(frozen=True)
class CutMix:
    """Who is mixed with whom, how often, and where.

    Attributes:
        kind: `same_label` mixes samples with the same labels and keeps them, `standard` any two and mixes their labels by area.
        probability: Share of samples that are changed.
        box: One rectangle for all views of a sample, or one for each view.
    """

    kind: Literal["none", "same_label", "standard"] = "none"
    probability: float = 0.5
    box: Literal["shared", "per_eye"] = "shared"

    def groups(self, labels: Int[np.ndarray, "n l"]) -> Int64[np.ndarray, " n"]:
        """Number of the group of each sample, within which it may be mixed."""
        if self.kind == "standard":
            return np.zeros(len(labels), dtype=np.int64)
        return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def boxes(
        self, images: Float[Tensor, "n v c h w"], generator: torch.Generator
    ) -> Bool[Tensor, "n v h w"]:
        """Which pixels of each image are replaced: λ ~ Beta(1, 1), sides √(1-λ) of the image's, centre anywhere, clipped."""
        num, views, _, height, width = images.shape
        side = (1 - torch.rand(num, views if self.box == "per_eye" else 1, generator=generator)).sqrt()
        y, x = (_spans(side, pixels, generator).to(images.device) for pixels in (height, width))
        return (y[..., :, None] & x[..., None, :]).expand(-1, views, -1, -1)


class Partners:
    """For each training sample a random other one of its group.

    Args:
        rows: The training samples; no other row is ever given.
        groups: The group of each.
    """

    def __init__(self, rows: Int[np.ndarray, " n"], groups: Int64[np.ndarray, " n"]) -> None:
        order = np.argsort(groups, kind="stable")
        self._members = rows[order]
        self._place = np.full(int(rows.max(initial=-1)) + 1, -1, dtype=np.int64)
        self._place[self._members] = np.arange(len(rows))
        _, first, inverse, count = np.unique(
            groups[order], return_index=True, return_inverse=True, return_counts=True
        )
        self._first, self._count = first[inverse], count[inverse]

    def draw(
        self, rows: Int[np.ndarray, " b"], probability: float, generator: torch.Generator
    ) -> tuple[Int64[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Positions in `rows` of the samples to change, `probability` of those that have a partner, and the partners' rows."""
        chance, choice = torch.rand(2, len(rows), dtype=torch.float64, generator=generator).numpy()
        place = self._place[rows]
        first, count = self._first[place], self._count[place]
        chosen = np.flatnonzero((chance < probability) & (count > 1))
        place, first, count = place[chosen], first[chosen], count[chosen]
        steps = 1 + (choice[chosen] * (count - 1)).astype(np.int64)
        return chosen, self._members[first + (place - first + steps) % count]


def mixed(
    own: Float[Tensor, "*s"], other: Float[Tensor, "*s"], share: Float[Tensor, "*#s"]
) -> Float[Tensor, "*s"]:
    """own + share·(other - own), -1 where either is unknown."""
    return torch.where((own < 0) | (other < 0), -1.0, own + share * (other - own))


def _spans(side: Float[Tensor, "n v"], pixels: int, generator: torch.Generator) -> Bool[Tensor, "n v p"]:
    """Pixels within half of `side` (a share of the image's) of a random one, along one axis."""
    half = (side * pixels).long() // 2
    centre = torch.randint(pixels, side.shape, generator=generator)
    at = torch.arange(pixels)
    return (at >= (centre - half)[..., None]) & (at < (centre + half)[..., None])
