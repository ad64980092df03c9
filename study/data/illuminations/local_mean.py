"""Every place gets the same mean light: dark rims and bright spots of the flash disappear.

Source: Hoover and Goldbaum 2003, and Youssif et al. 2006, on the optic disc.
Differs: each of the three channels is corrected. The mean is taken over the field of view only; black
outside.
"""

from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from study.data.field import inside_field
from study.data.illuminations._surround import field_mean, to_bytes


class LocalMean:
    """J = I + m - A, A the mean of the field's pixels in a square window, m the mean to reach.

    Args:
        window: Side of the window as a share of the image's.
        mean: m in all channels; null takes the field's own mean of each channel, which keeps the colour of
            the retina.
    """

    def __init__(
        self,
        *,
        window: Annotated[float, Field(gt=0, le=1)] = 0.25,
        mean: Annotated[float, Field(ge=0, le=255)] | None = None,
    ) -> None:
        self.window, self.mean = window, mean

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The image with the same mean everywhere."""
        field, plain = inside_field(image), image.astype(np.float32)
        local = field_mean(plain, field, max(1, round(self.window * image.shape[1])))
        mean = plain[field].mean(axis=0) if self.mean is None else np.float32(self.mean)
        return to_bytes((plain + mean - local) * field[..., None])
