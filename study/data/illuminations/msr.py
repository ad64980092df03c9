"""Multi-scale Retinex: the logarithm of what each pixel reflects; the light is estimated at several widths.

Source: Jobson, Rahman and Woodell 1997, IEEE TIP 6(7), with equal weights and three widths.
Differs: Gaussians are three box filters over the field of view only. Widths are shares of the image's side;
the source has 15, 80 and 250 pixels of a 512-pixel image. The result is stretched between two quantiles of
the field, over all channels, and black outside. No colour restoration, so that colours come out paler, and a
channel with hardly any light (blue in a dark frame) shows its noise.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.field import inside_field
from study.data.illuminations._surround import NUM_BOXES, field_mean, gaussian_window, to_bytes

PositiveShare = Annotated[float, Field(gt=0, le=1)]
SIGMAS = [0.03, 0.15, 0.5]
MIN_RANGE = 1e-3  # of logarithms: a narrower range is not stretched to the full one


class Msr:
    """R = mean over k of log(1 + I) - log(1 + G_k * I), stretched from two quantiles to 0 and 255.

    Args:
        sigmas: Standard deviations of the Gaussians as shares of the image's side.
        clip: Share of the field's values that become black; the same share becomes white.
    """

    def __init__(
        self,
        *,
        sigmas: Annotated[list[PositiveShare], Field(min_length=1)] = SIGMAS,
        clip: Annotated[float, Field(ge=0, lt=0.5)] = 0.01,
    ) -> None:
        self.sigmas, self.clip = sigmas, clip

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The stretched reflectance."""
        field, plain = inside_field(image), image.astype(np.float32)
        windows = (gaussian_window(share * image.shape[1]) for share in self.sigmas)
        surrounds = (field_mean(plain, field, window, NUM_BOXES) for window in windows)
        lights = [np.log1p(surround.clip(min=0)) for surround in surrounds]
        reflected = np.log1p(plain) - np.mean(lights, axis=0)
        low, high = np.quantile(reflected[field], [self.clip, 1 - self.clip])
        stretched = (reflected - low) * (255 / max(high - low, MIN_RANGE))
        return to_bytes(stretched.astype(np.float32) * field[..., None])
