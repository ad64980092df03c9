"""CLAHE, then the difference from a blurred copy: lesions and vessels stand out on grey.

Source: the detail-enhancing preprocessing of BFPC-Net (Li et al. 2022), as a public reimplementation reads
it.
Differs: the black that `clahe_lab` leaves outside the field of view becomes grey here, with a rim. The width
of the blur is in pixels of the prepared image, which has 224 in the source.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.illuminations._clahe import equalise_lightness
from study.data.illuminations._surround import difference_from_blur


class ClaheGraham:
    """J = gain·(C - G_σ * C) + 128, C the image after CLAHE on L of LAB.

    Args:
        clip: Clip limit in OpenCV's sense, see `clahe_lab`.
        tiles: Number of tiles along each side of the image.
        gain: Factor by which the difference is enlarged.
        sigma_px: Standard deviation of the Gaussian in pixels.
    """

    def __init__(
        self,
        *,
        clip: Annotated[float, Field(gt=0, le=256)] = 2.0,
        tiles: Annotated[int, Field(ge=1, le=16)] = 8,
        gain: Annotated[float, Field(gt=0, le=20)] = 4.0,
        sigma_px: Annotated[float, Field(gt=0, le=100)] = 10.0,
    ) -> None:
        self.clip, self.tiles, self.gain, self.sigma_px = clip, tiles, gain, sigma_px

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The equalised image's enlarged difference from its blurred copy."""
        equalised = equalise_lightness(image, self.clip, self.tiles)
        return difference_from_blur(equalised, self.gain, self.sigma_px)
