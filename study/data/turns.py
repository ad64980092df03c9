"""Changes of images that need no new pixels: mirrored left to right, or turned upside down.

The few images that they give can all be shown to a frozen network beforehand, so that training from its
features sees what training from images sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Turn:
    """One way to turn all images of a sample; the views stay in their places.

    Attributes:
        across: Mirror left to right.
        down: Turn upside down.
    """

    across: bool = False
    down: bool = False

    def __call__(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "b v c h w"], Bool[Tensor, " b"]]:
        """The turned images; the call is that of `Augmentation`, and no views change places."""
        axes = [axis for axis, turned in ((-1, self.across), (-2, self.down)) if turned]
        return images.flip(axes), torch.zeros(len(images), dtype=torch.bool, device=images.device)


@dataclass(frozen=True, kw_only=True)
class TurnedViews:
    """Says for each place of a sample which image of the sample stands there, and how it is turned.

    It draws the same random numbers as an `Augmentation` that only mirrors, so that both give the same
    samples.

    Attributes:
        turns: The turns that there are.
        num_views: Views of a sample.
        flip: Mirror half of the samples and exchange their views, as `Augmentation.flip`.
        flip_vertical: Turn half of the samples upside down.
        exchange: Mirror every sample and exchange its views.
        aligned: Mirror the second place after everything else, as `flip_right` of `Batches`.
    """

    turns: Sequence[Turn]
    num_views: int
    flip: bool = False
    flip_vertical: bool = False
    exchange: bool = False
    aligned: bool = False

    def __call__(
        self, num: int, generator: torch.Generator
    ) -> tuple[Int64[np.ndarray, "b v"], Int64[np.ndarray, "b v"]]:
        """Chooses for each place of `num` samples the number of the turn, and the view."""
        swapped = _random_half(num, generator) if self.flip else np.full(num, self.exchange)
        down = _random_half(num, generator) if self.flip_vertical else np.zeros(num, dtype=bool)
        places = np.arange(self.num_views)
        across = swapped[:, None] ^ ((places == 1) & self.aligned)
        numbers = np.full((2, 2), -1)
        for number, turn in enumerate(self.turns):
            numbers[int(turn.across), int(turn.down)] = number
        chosen = numbers[across.astype(int), np.broadcast_to(down[:, None], across.shape).astype(int)]
        return chosen, np.where(swapped[:, None], places[::-1], places)


@dataclass(frozen=True)
class DrawnPass:
    """Takes all views of a sample from one of several passes, each with the same probability.

    Attributes:
        num_passes: Number of passes.
        num_views: Views of a sample.
    """

    num_passes: int
    num_views: int

    def __call__(
        self, num: int, generator: torch.Generator
    ) -> tuple[Int64[np.ndarray, "b v"], Int64[np.ndarray, "b v"]]:
        """Chooses for each place of `num` samples the number of the pass, and the view."""
        chosen = torch.randint(self.num_passes, (num, 1), generator=generator).numpy()
        shape = (num, self.num_views)
        return np.broadcast_to(chosen, shape), np.broadcast_to(np.arange(self.num_views), shape)


@dataclass(frozen=True)
class OnePass:
    """Takes all views of a sample, as they are, from one of several passes.

    Attributes:
        number: Number of the pass, from 0.
        num_views: Views of a sample.
    """

    number: int
    num_views: int

    def __call__(
        self, num: int, generator: torch.Generator
    ) -> tuple[Int64[np.ndarray, "b v"], Int64[np.ndarray, "b v"]]:
        """The number of the pass, and of the view, for each place of `num` samples."""
        shape = (num, self.num_views)
        return np.full(shape, self.number), np.broadcast_to(np.arange(self.num_views), shape)


def _random_half(num: int, generator: torch.Generator) -> Bool[np.ndarray, " b"]:
    half: Bool[np.ndarray, " b"] = (torch.rand(num, generator=generator) < 0.5).numpy()
    return half
