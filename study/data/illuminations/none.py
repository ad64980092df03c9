"""No correction: the image keeps its light.

Source: the control of every ablation.
Differs: nothing.
"""

import numpy as np
from jaxtyping import UInt8


class NoCorrection:
    """J = I."""

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The image itself."""
        return image
