"""From a photograph to a square of pixels: crop, fit, resize, correct the light; done once, before training."""

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

AS_IT_IS = Component(name="none")


@dataclass(frozen=True)
class Preprocessing:
    """What happens to each image once, in the order of the fields but for the size; its fields name the cache.

    Attributes:
        image_px: Side of the square.
        crop_box: A rectangle of the photograph that is kept.
        crop: `fov` crops to the field of view, `none` keeps the frame.
        fit: `pad` keeps the aspect ratio on black, `stretch` does not.
        illumination: How the light of the square is corrected.
    """

    image_px: int
    crop: Literal["none", "fov"] = "fov"
    fit: Literal["pad", "stretch"] = "pad"
    crop_box: CropBoxSpec | None = None
    illumination: Component = AS_IT_IS

    @classmethod
    def of(cls, data: DataSpec) -> "Preprocessing":
        """The image settings of a trial."""
        return cls(data.image_px, data.crop, data.fit, data.crop_box, data.illumination)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "px px 3"]:
        """Crops, then resizes with antialiasing (bicubic), then pads evenly, then corrects the light.

        Raises:
            BadImageError: the image is smaller than the box.
        """
        if self.crop_box is not None:
            image = _boxed(image, self.crop_box)
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


def _boxed(image: UInt8[np.ndarray, "h w 3"], box: CropBoxSpec) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The box's part of the image, rows counted from where the box says."""
    height, width = image.shape[:2]
    top, bottom = (
        (box.top, box.bottom) if box.origin == "top_left" else (height - box.top, height - box.bottom)
    )
    if top < 0 or bottom > height or box.right > width:
        raise BadImageError(f"{width} x {height} pixels, beyond which `data.crop_box` reaches")
    return image[top:bottom, box.left : box.right]
