"""CLAHE, then the detail above a blurred copy: lesions and vessels stand out on grey.

Source: the detail-enhancing preprocessing of BFPC-Net (Li et al. 2022), as a public reimplementation reads it.
Differs: the black that `clahe_lab` leaves outside the field of view becomes grey here, with a rim; the width of the blur is in
pixels of the prepared image, which has 224 in the source.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.illuminations._clahe import equalise_lightness
from study.data.illuminations._surround import detail


class ClaheGraham:
    """J = gain·(C - G_σ * C) + 128, C the image after CLAHE on L of LAB.

    Args:
        clip: clip limit in OpenCV's sense, see `clahe_lab`.
        tiles: tiles along each side of the image.
        gain: how much the detail is enlarged.
        sigma_px: standard deviation of the Gaussian.
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
        """The enlarged detail of the equalised image."""
        return detail(equalise_lightness(image, self.clip, self.tiles), self.gain, self.sigma_px)
