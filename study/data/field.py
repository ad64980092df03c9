"""The field of view of a fundus camera: the lit disc on a black frame."""

import numpy as np
from jaxtyping import Bool, UInt8

DARK_FRAME = 24  # of 255: a frame that is nowhere brighter shows no field
SURROUND = (
    0.06  # share of the frame's maximum: the unlit surround stays below, all but the darkest retina above
)
SURROUND_NOISE = 10  # of 255: the noise of the unlit surround stays below
MIN_LIT_SHARE = 0.02  # of a row or column: fewer lit pixels are noise or print
MIN_FIELD_SHARE = 0.25  # of the frame's side: a smaller field is an artefact
SEARCHED_PX = 512  # the field is searched on every k-th pixel of larger frames


def field_of_view(image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the lit field: the rows and columns with enough lit pixels.

    It is the whole frame where the frame is nearly black, or where the field found is too small to be one.
    """
    height, width = image.shape[:2]
    step = max(1, max(height, width) // SEARCHED_PX)
    lit = _lit(image[::step, ::step])
    rows, columns = (np.flatnonzero(lit.mean(axis=axis) > MIN_LIT_SHARE) for axis in (1, 0))
    if len(rows) == 0 or len(columns) == 0:
        return 0, height, 0, width
    top, bottom = int(rows[0]) * step, min(height, (int(rows[-1]) + 1) * step)
    left, right = int(columns[0]) * step, min(width, (int(columns[-1]) + 1) * step)
    if bottom - top < MIN_FIELD_SHARE * height or right - left < MIN_FIELD_SHARE * width:
        return 0, height, 0, width
    return top, bottom, left, right


def inside_field(image: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Whether each pixel lies between lit ones, in its row and in its column; all of a nearly black frame.

    By that, dark vessels and lesions are inside, and a speck in the surround does not join the field.
    """
    lit = _lit(image)
    inside: np.ndarray = _between(lit, 0) & _between(lit, 1)
    return inside


def _lit(image: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Pixels brighter than the surround; all of them where the frame is nearly black."""
    red, green, blue = (image[..., channel] for channel in range(3))
    brightness = np.maximum(np.maximum(red, green), blue)
    brightest = int(brightness.max())
    if brightest <= DARK_FRAME:
        return np.ones(brightness.shape, dtype=bool)
    lit: np.ndarray = brightness > max(SURROUND_NOISE, SURROUND * brightest)
    return lit


def _between(lit: Bool[np.ndarray, "h w"], axis: int) -> Bool[np.ndarray, "h w"]:
    """Whether a pixel is lit, or has a lit one before it and one after it along the axis."""
    before = np.logical_or.accumulate(lit, axis=axis)
    after = np.flip(np.logical_or.accumulate(np.flip(lit, axis), axis=axis), axis)
    return before & after
