"""The difference from a blurred copy, on grey: slow changes of light disappear, and the retina's colour, too.

Source: Graham 2015, report of the winning entry of Kaggle's diabetic retinopathy competition.
Differs: the radius is half the longer side of the field that is found in the prepared image; the source
scales the image to a radius of 300 pixels.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from study.data.field import inside_field
from study.data.illuminations._surround import difference_from_blur


class Graham:
    """J = gain·(I - G_σ * I) + 128 within `keep` of the field's radius, σ = radius/divisor; `fill` elsewhere.

    Args:
        gain: Factor by which the difference is enlarged.
        divisor: Radius of the field in standard deviations of the Gaussian.
        keep: Share of the radius that is kept; the rim, which the black surround darkens, is cut off.
        fill: Value outside, 128 as in the source or 0 for black.
    """

    def __init__(
        self,
        *,
        gain: Annotated[float, Field(gt=0, le=20)] = 4.0,
        divisor: Annotated[float, Field(ge=1, le=300)] = 30.0,
        keep: Annotated[float, Field(gt=0, le=1)] = 0.9,
        fill: Annotated[int, Field(ge=0, le=255)] = 128,
    ) -> None:
        self.gain, self.divisor, self.keep, self.fill = gain, divisor, keep, fill

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The enlarged difference in the inner part of the field."""
        radius, kept = self._inner(inside_field(image))
        difference = difference_from_blur(image, self.gain, radius / self.divisor)
        return np.where(kept[..., None], difference, np.uint8(self.fill))

    def _inner(self, field: Bool[np.ndarray, "h w"]) -> tuple[float, Bool[np.ndarray, "h w"]]:
        """The field's radius, and the pixels of the field within its inner part."""
        rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
        radius = (1 + max(int(np.ptp(rows)), int(np.ptp(columns)))) / 2
        y, x = (
            np.arange(side) - (at[0] + at[-1]) / 2
            for side, at in zip(field.shape, (rows, columns), strict=True)
        )
        return radius, field & (y[:, None] ** 2 + x**2 <= (self.keep * radius) ** 2)
