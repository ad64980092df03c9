"""CutMix: a rectangle of a training image is replaced by the same rectangle of another sample's image.

Source: Yun et al. 2019, arXiv 1905.04899, for λ, the rectangle and the mixed labels (`standard`); DMS-Net
(Huo et al. 2025, arXiv 2504.18046), which mixes samples of the same classes and keeps the labels
(`same_label`), and does not say how it draws the rectangle.
Differs: both samples are augmented before they are mixed, in each batch anew; DMS-Net enlarges its data set
by the mixed images beforehand. The other sample may be any of the training split, not only of the batch.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor


@dataclass(frozen=True)
class CutMix:
    """Which samples are mixed, how often, and where.

    Attributes:
        kind: `same_label` mixes samples with the same labels and keeps the labels; `standard` mixes any two
            samples, and their labels by area.
        probability: Share of samples that are changed.
        box: `shared` takes one rectangle for all views of a sample, `per_eye` one for each view.
    """

    kind: Literal["none", "same_label", "standard"] = "none"
    probability: float = 0.5
    box: Literal["shared", "per_eye"] = "shared"

    def groups(self, labels: Int[np.ndarray, "n l"]) -> Int64[np.ndarray, " n"]:
        """Number of the group of each sample; only samples of one group are mixed."""
        if self.kind == "standard":
            return np.zeros(len(labels), dtype=np.int64)
        return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def boxes(
        self, images: Float[Tensor, "n v c h w"], generator: torch.Generator
    ) -> Bool[Tensor, "n v h w"]:
        """Which pixels of each image are replaced.

        They form a rectangle with its centre at a random pixel, cut off at the image's border. Its sides are
        √(1-λ) of the image's with λ ~ Beta(1, 1).
        """
        num, num_views, _, height, width = images.shape
        num_boxes = num_views if self.box == "per_eye" else 1
        side = (1 - torch.rand(num, num_boxes, generator=generator)).sqrt()
        y, x = (_spans(side, length, generator).to(images.device) for length in (height, width))
        return (y[..., :, None] & x[..., None, :]).expand(-1, num_views, -1, -1)


class Partners:
    """Draws a partner for each training sample: another sample of its group, each with the same probability.

    Args:
        rows: The training samples; no other row becomes a partner.
        groups: The group of each training sample.
    """

    def __init__(self, rows: Int[np.ndarray, " n"], groups: Int64[np.ndarray, " n"]) -> None:
        order = np.argsort(groups, kind="stable")
        self._members = rows[order]  # group after group
        self._place = np.full(int(rows.max(initial=-1)) + 1, -1, dtype=np.int64)  # of each row in `_members`
        self._place[self._members] = np.arange(len(rows))
        _, first, inverse, count = np.unique(
            groups[order], return_index=True, return_inverse=True, return_counts=True
        )
        # For each place, where its group begins and how many members it has.
        self._first, self._count = first[inverse], count[inverse]

    def draw(
        self, rows: Int[np.ndarray, " b"], probability: float, generator: torch.Generator
    ) -> tuple[Int64[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Chooses the samples of a batch that are changed, and their partners.

        Args:
            rows: The samples of the batch.
            probability: Probability with which a sample that has a partner is changed.
            generator: Source of all random choices.

        Returns:
            Positions in `rows` of the samples to change, and the rows of their partners.
        """
        chance, choice = torch.rand(2, len(rows), dtype=torch.float64, generator=generator).numpy()
        place = self._place[rows]
        chosen = np.flatnonzero((chance < probability) & (self._count[place] > 1))
        place = place[chosen]
        first, count = self._first[place], self._count[place]
        steps = 1 + (choice[chosen] * (count - 1)).astype(np.int64)  # to the partner, around the group
        return chosen, self._members[first + (place - first + steps) % count]


def mix(
    own: Float[Tensor, "*s"], other: Float[Tensor, "*s"], share: Float[Tensor, "*#s"]
) -> Float[Tensor, "*s"]:
    """Labels mixed by area: own + share·(other - own), -1 where either is unknown."""
    return torch.where((own < 0) | (other < 0), -1.0, own + share * (other - own))


def _spans(side: Float[Tensor, "n v"], length: int, generator: torch.Generator) -> Bool[Tensor, "n v p"]:
    """Which pixels of an axis the rectangles cover.

    Args:
        side: Sides of the rectangles as shares of the image's.
        length: Number of pixels of the axis.
        generator: Source of the centres.
    """
    half = (side * length).long() // 2
    centre = torch.randint(length, side.shape, generator=generator)
    pixel = torch.arange(length)
    return (pixel >= (centre - half)[..., None]) & (pixel < (centre + half)[..., None])
