"""From a photograph to a square of pixels, once and before training: crop, fit, resize, correct the light."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from study.data.field import field_of_view
from study.spec import components
from study.spec.components import Component
from study.spec.data_section import CropBoxSpec, DataSpec
from study.spec.errors import BadImageError

NORMALISE = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and standard deviation of each channel, for images in 0 to 1."""

NO_CORRECTION = Component(name="none")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What happens to each image once.

    The text of this record is part of a cache's name, so its fields and their order stay.

    Attributes:
        image_px: Side of the square in pixels.
        crop: `fov` crops to the field of view, `none` keeps the frame.
        fit: `pad` keeps the aspect ratio and fills up with black, `stretch` does not keep it.
        crop_box: A rectangle of the photograph that is kept, before `crop`.
        illumination: How the light of the square is corrected.
    """

    image_px: int
    crop: Literal["none", "fov"] = "fov"
    fit: Literal["pad", "stretch"] = "pad"
    crop_box: CropBoxSpec | None = None
    illumination: Component = NO_CORRECTION

    @classmethod
    def of(cls, data: DataSpec) -> "Preprocessing":
        """The image settings of a trial."""
        return cls(
            image_px=data.image_px,
            crop=data.crop,
            fit=data.fit,
            crop_box=data.crop_box,
            illumination=data.illumination,
        )

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "px px 3"]:
        """Crops, then resizes with antialiasing (bicubic), then pads evenly, then corrects the light.

        Raises:
            BadImageError: the image is smaller than the box.
        """
        if self.crop_box is not None:
            image = _cut_box(image, self.crop_box)
        if self.crop == "fov":
            top, bottom, left, right = field_of_view(image)
            image = image[top:bottom, left:right]
        return self._correct(self._square(image))

    def _square(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "px px 3"]:
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

    @cached_property
    def _correct(self) -> Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h w 3"]]:
        correction: Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h w 3"]] = components.build(
            "illumination", self.illumination
        )
        return correction


def _cut_box(image: UInt8[np.ndarray, "h w 3"], box: CropBoxSpec) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The part of the image inside the box."""
    height, width = image.shape[:2]
    top, bottom = box.top, box.bottom
    if box.origin == "bottom_left":
        top, bottom = height - top, height - bottom
    if top < 0 or bottom > height or box.right > width:
        raise BadImageError(f"{width} x {height} pixels, beyond which `data.crop_box` reaches")
    return image[top:bottom, box.left : box.right]
