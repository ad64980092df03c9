"""The detail above a blurred copy on grey: slow changes of light disappear, and with them the colour of the retina.

Source: Graham 2015, report of the winning entry of Kaggle's diabetic retinopathy competition.
Differs: the radius is half the longer side of the field found in the prepared image; there the image is scaled to a radius of 300.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from study.data.field import inside_field
from study.data.illuminations._surround import detail


class Graham:
    """J = gain·(I - G_σ * I) + 128 within `keep` of the field's radius, σ = radius/divisor; `fill` elsewhere.

    Args:
        gain: how much the detail is enlarged.
        divisor: radius of the field in standard deviations of the Gaussian.
        keep: share of the radius that is kept; the rim, where the black surround shines in, is cut off.
        fill: value outside, the 128 of the source or 0 for black.
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
        """The enlarged detail of the inner field."""
        field = inside_field(image)
        radius, kept = self._inner(field)
        return np.where(kept[..., None], detail(image, self.gain, radius / self.divisor), np.uint8(self.fill))

    def _inner(self, field: Bool[np.ndarray, "h w"]) -> tuple[float, Bool[np.ndarray, "h w"]]:
        """The field's radius, and the pixels of the field within its inner part."""
        rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
        radius = (1 + max(int(np.ptp(rows)), int(np.ptp(columns)))) / 2
        y, x = (
            np.arange(side) - (at[0] + at[-1]) / 2
            for side, at in zip(field.shape, (rows, columns), strict=True)
        )
        return radius, field & (y[:, None] ** 2 + x**2 <= (self.keep * radius) ** 2)
