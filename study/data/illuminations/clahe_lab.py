"""CLAHE on the lightness: local contrast is raised up to a limit, colours stay.

Source: Zuiderveld 1994; with clip limit 2 and 8 x 8 tiles on L of LAB in many fundus pipelines.
Differs: black outside the field of view. Computed by scikit-image, which stretches L to its full range before
and after, and spreads what was clipped until no bin exceeds the limit; OpenCV does not stretch and spreads
once.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.illuminations._clahe import equalise_lightness


class ClaheLab:
    """L' = CLAHE(L) with tiles x tiles tiles, a' = a, b' = b.

    Args:
        clip: Clip limit in OpenCV's sense, in means of a tile's histogram: 1 hardly changes the image, 256
            sets no limit.
        tiles: Number of tiles along each side of the image.
    """

    def __init__(
        self,
        *,
        clip: Annotated[float, Field(gt=0, le=256)] = 2.0,
        tiles: Annotated[int, Field(ge=1, le=16)] = 8,
    ) -> None:
        self.clip, self.tiles = clip, tiles

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The image with equalised lightness."""
        return equalise_lightness(image, self.clip, self.tiles)
