"""From a photograph to a square of pixels: crop to the field of view, fit, resize; done once, before training."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

NORMALISE = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and standard deviation of each channel, for images in 0 to 1."""

DARK = 24  # of 255: a frame that is nowhere brighter shows nothing to crop to
FOREGROUND = 0.06  # of the frame's own maximum: the unlit surround stays below it, all but the darkest retina above
BLACK = 10  # of 255: noise of the unlit surround
LIT_SHARE = 0.02  # of a row or column: fewer lit pixels are noise or print
SMALLEST = 0.25  # of the frame's side: a smaller field is an artefact
LOOK_PX = 512  # the field is searched on every k-th pixel of larger frames


@dataclass(frozen=True)
class Preprocessing:
    """What happens to each image once; its fields name the cache.

    Attributes:
        image_px: Side of the square.
        crop: `fov` crops to the field of view, `none` keeps the frame.
        fit: `pad` keeps the aspect ratio on black, `stretch` does not.
    """

    image_px: int
    crop: Literal["none", "fov"] = "fov"
    fit: Literal["pad", "stretch"] = "pad"

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "px px 3"]:
        """Crops, then resizes with antialiasing (bicubic), then pads evenly."""
        if self.crop == "fov":
            top, bottom, left, right = field_of_view(image)
            image = image[top:bottom, left:right]
        height, width = image.shape[:2]
        scale = self.image_px / max(height, width)
        size = (self.image_px, self.image_px)
        if self.fit == "pad":
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
        if self.fit == "stretch":
            return small
        square = np.zeros((self.image_px, self.image_px, 3), dtype=np.uint8)
        y, x = (self.image_px - small.shape[0]) // 2, (self.image_px - small.shape[1]) // 2
        square[y : y + small.shape[0], x : x + small.shape[1]] = small
        return square


def field_of_view(image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the lit field: rows and columns with enough pixels above a share of the frame's maximum.

    The whole frame where it is nearly black or the field found is too small to be one.
    """
    height, width = image.shape[:2]
    step = max(1, max(height, width) // LOOK_PX)
    red, green, blue = (image[::step, ::step, channel] for channel in range(3))
    brightness = np.maximum(np.maximum(red, green), blue)
    if brightness.max() <= DARK:
        return 0, height, 0, width
    lit = brightness > max(BLACK, FOREGROUND * float(brightness.max()))
    rows, columns = (np.flatnonzero(lit.mean(axis=axis) > LIT_SHARE) for axis in (1, 0))
    if len(rows) == 0 or len(columns) == 0:
        return 0, height, 0, width
    top, bottom = int(rows[0]) * step, min(height, (int(rows[-1]) + 1) * step)
    left, right = int(columns[0]) * step, min(width, (int(columns[-1]) + 1) * step)
    if bottom - top < SMALLEST * height or right - left < SMALLEST * width:
        return 0, height, 0, width
    return top, bottom, left, right
