"""Contrast-limited adaptive histogram equalisation of an image's lightness."""

import numpy as np
from jaxtyping import UInt8
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import equalize_adapthist

from study.data.field import inside_field
from study.data.illuminations._surround import to_bytes

BINS = 256
WHITE = np.float32(100)  # the largest L
MOST_YELLOW = np.float32(
    199.99 / 116
)  # times L + 16: no light has a larger b, of which scikit-image would warn


def equalise_lightness(
    image: UInt8[np.ndarray, "h w 3"], clip: float, tiles: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Equalises L of LAB in tiles, a and b as they are, black outside the field of view.

    OpenCV's clip limit counts in means of a tile's histogram: a bin holds at most clip·(pixels/bins). Scikit-image's is the
    share of a tile's pixels that a bin holds at most, so clip/bins is the same limit.

    Args:
        image: 8-bit RGB.
        clip: OpenCV's clip limit, 2 in most fundus pipelines.
        tiles: number of tiles along each side.
    """
    lab = rgb2lab(image.astype(np.float32) / np.float32(255))
    tile = tuple(-(-side // tiles) for side in image.shape[:2])
    lightness = (lab[..., 0] / WHITE).clip(0, 1)
    if lightness.min() == lightness.max():
        return image
    lab[..., 0] = equalize_adapthist(lightness, tile, clip_limit=clip / BINS, nbins=BINS) * WHITE
    lab[..., 2] = np.minimum(lab[..., 2], MOST_YELLOW * (lab[..., 0] + 16))
    return to_bytes(lab2rgb(lab) * inside_field(image)[..., None] * np.float32(255))
