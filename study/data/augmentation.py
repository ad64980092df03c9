"""Random changes of a batch of pairs that a pair could have had: both eyes flip together and trade places, one light for both.

Source: the flip with exchange of the eyes follows public ODIR-5K practice; the crop is that of Szegedy et al. 2015 (Inception); the
rest are the usual affine and photometric changes.
Differs: parameters of light are drawn for the pair, of geometry for each image. The crop's aspect ratio is drawn among those that
fit into the image, where torchvision draws again and at last takes the whole.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
NARROWEST = 3 / 4  # ratio of a crop's sides, and its inverse the widest


@dataclass(frozen=True)
class Augmentation:
    """How far images may be changed; as it is by default it changes nothing.

    Attributes:
        flip: Mirror half of the samples left to right and exchange their eyes (a mirrored left eye looks like a right eye).
        flip_vertical: Turn half of the samples upside down, all their views.
        crop: Smallest share of its area that a crop of an image keeps; 1 crops nothing.
        rotate_deg: Largest rotation of an image, either way.
        scale: Largest relative change of size, 0.1 for 0.9 to 1.1.
        brightness: Largest relative change of all values.
        contrast: Largest relative change of the distance to the pair's mean grey.
        saturation: Largest relative change of the distance to each pixel's grey.
    """

    flip: bool = False
    flip_vertical: bool = False
    crop: float = 1.0
    rotate_deg: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __call__(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "b v c h w"], Bool[Tensor, " b"]]:
        """Changed images in 0 to 1, and which samples were mirrored (their views have changed places).

        Args:
            images: Values in 0 to 1.
            generator: On the CPU, whatever the images' device, so that every device sees the same changes.
        """
        swapped = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        if self.flip:
            swapped = _half(images, generator)
            images = torch.where(_each(swapped), images.flip((1, -1)), images)
        if self.flip_vertical:
            images = torch.where(_each(_half(images, generator)), images.flip(-2), images)
        if self.rotate_deg or self.scale or self.crop < 1:
            images = self._move(images, generator)
        if self.brightness or self.contrast or self.saturation:
            images = self._relight(images, generator)
        return images, swapped

    def _move(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> Float[Tensor, "b v c h w"]:
        """Rotates and scales each image about its centre, then crops it, in one sampling; what comes from outside is black."""
        flat = images.flatten(0, 1)
        angle = _spread(len(flat), math.radians(self.rotate_deg), generator)
        size = 1 / (1 + _spread(len(flat), self.scale, generator))
        cos, sin, zero = size * angle.cos(), size * angle.sin(), torch.zeros_like(angle)
        affine = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
        if self.crop < 1:
            affine = affine @ random_crops(len(flat), self.crop, generator)
        grid = functional.affine_grid(affine.to(flat), list(flat.shape), align_corners=False)
        return functional.grid_sample(flat, grid, align_corners=False).view_as(images)

    def _relight(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> Float[Tensor, "b v c h w"]:
        """Brightness, then saturation, then contrast, the same for all views of a sample, in one weighted sum.

        With factors b, s, c and a pixel's grey g: b (c s x + c (1 - s) g + (1 - c) mean g).
        """
        b, s, c = (
            _each((1 + _spread(len(images), most, generator)).to(images))
            for most in (self.brightness, self.saturation, self.contrast)
        )
        grey = torch.einsum("bvchw,c->bvhw", images, images.new_tensor(GREY)).unsqueeze(2)
        mean = grey.mean(dim=(1, 2, 3, 4), keepdim=True)
        return (images * (b * c * s)).add_(grey * (b * c * (1 - s)) + b * (1 - c) * mean).clamp_(0, 1)


def random_crops(num: int, smallest: float, generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Maps from the whole square [-1, 1]² to random rectangles inside it, which keep `smallest` to 1 of its area.

    The area is uniform, the logarithm of width/height uniform between 3/4 and 4/3 as far as the rectangle fits, and so is
    its place.
    """
    area = 1 - torch.rand(num, generator=generator) * (1 - smallest)
    widest = torch.minimum(-area.log(), torch.tensor(-math.log(NARROWEST)))
    ratio = ((torch.rand(num, generator=generator) * 2 - 1) * widest).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)
    centres = (torch.rand(num, 2, generator=generator) * 2 - 1) * (1 - sides)
    crops = torch.diag_embed(torch.cat([sides, torch.ones(num, 1)], dim=1))
    crops[:, :2, 2] = centres
    return crops


def _half(images: Float[Tensor, "b v c h w"], generator: torch.Generator) -> Bool[Tensor, " b"]:
    """True for about half of the samples."""
    return (torch.rand(len(images), generator=generator) < 0.5).to(images.device)


def _each(values: Shaped[Tensor, " b"]) -> Shaped[Tensor, "b 1 1 1 1"]:
    """One value a sample, in a shape that meets all its pixels."""
    return values[:, None, None, None, None]


def _spread(num: int, most: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Uniform numbers in -most to most."""
    return (torch.rand(num, generator=generator) * 2 - 1) * most
