"""Multi-scale Retinex: the logarithm of what each pixel reflects, the light being estimated at several widths.

Source: Jobson, Rahman and Woodell 1997, IEEE TIP 6(7), with equal weights and three widths.
Differs: Gaussians are three box filters over the field of view only; widths are shares of the image's side, where the source has
15, 80 and 250 pixels of a 512-pixel image; the result is stretched between two quantiles of the field, over all channels, and
black outside. No colour restoration, so that colours come out paler, and a channel with hardly any light (blue in a dark frame)
shows its noise.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.field import inside_field
from study.data.illuminations._surround import BOXES, bell_window, field_mean, to_bytes

Share = Annotated[float, Field(gt=0, le=1)]
FLAT = 1e-3  # a narrower range of logarithms shows nothing to stretch


class Msr:
    """R = mean over k of log(1 + I) - log(1 + G_k * I), then from its `clip` and 1 - `clip` quantiles to 0 and 255.

    Args:
        sigmas: standard deviations of the Gaussians as shares of the image's side.
        clip: share of the field's values that become black, and white.
    """

    def __init__(
        self,
        *,
        sigmas: Annotated[list[Share], Field(min_length=1)] = [0.03, 0.15, 0.5],
        clip: Annotated[float, Field(ge=0, lt=0.5)] = 0.01,
    ) -> None:
        self.sigmas, self.clip = sigmas, clip

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The stretched reflectance."""
        field, plain = inside_field(image), image.astype(np.float32)
        surrounds = (
            field_mean(plain, field, bell_window(share * image.shape[1]), BOXES) for share in self.sigmas
        )
        lights = [np.log1p(surround.clip(min=0)) for surround in surrounds]
        reflected = np.log1p(plain) - np.mean(lights, axis=0)
        low, high = np.quantile(reflected[field], [self.clip, 1 - self.clip])
        stretched = (reflected - low) * (255 / max(high - low, FLAT))
        return to_bytes(stretched.astype(np.float32) * field[..., None])
