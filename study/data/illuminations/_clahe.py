"""Contrast-limited adaptive histogram equalisation of an image's lightness."""

import numpy as np
from jaxtyping import UInt8
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import equalize_adapthist

from study.data.field import inside_field
from study.data.illuminations._surround import to_bytes

NUM_BINS = 256
MAX_LIGHTNESS = np.float32(100)  # the largest L of LAB
MAX_YELLOW = np.float32(199.99 / 116)  # b / (L + 16) of the yellowest light; scikit-image warns above it


def equalise_lightness(
    image: UInt8[np.ndarray, "h w 3"], clip: float, tiles: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Equalises L of LAB in tiles; a and b stay, and all outside of the field of view becomes black.

    OpenCV's clip limit counts in means of a tile's histogram: a bin holds at most clip·(pixels/bins). That of
    scikit-image is the largest share of a tile's pixels in a bin, so clip/bins is the same limit.

    Args:
        image: 8-bit RGB.
        clip: OpenCV's clip limit, 2 in most fundus pipelines.
        tiles: Number of tiles along each side of the image.
    """
    lab = rgb2lab(image.astype(np.float32) / np.float32(255))
    tile = tuple(-(-side // tiles) for side in image.shape[:2])
    lightness = (lab[..., 0] / MAX_LIGHTNESS).clip(0, 1)
    if lightness.min() == lightness.max():
        return image
    equalised = equalize_adapthist(lightness, tile, clip_limit=clip / NUM_BINS, nbins=NUM_BINS)
    lab[..., 0] = equalised * MAX_LIGHTNESS
    lab[..., 2] = np.minimum(lab[..., 2], MAX_YELLOW * (lab[..., 0] + 16))
    return to_bytes(lab2rgb(lab) * inside_field(image)[..., None] * np.float32(255))
