"""Random changes of a batch of pairs after which a pair could still be a pair.

Both eyes are mirrored together and change places, and both get the same light.

Source: the mirroring with exchange of the eyes follows public ODIR-5K practice; the crop is that of Szegedy
et al. 2015 (Inception); the rest are the usual affine and photometric changes.
Differs: parameters of light are drawn for the pair, those of geometry for each image. The crop's aspect ratio
is drawn among those that fit into the image; torchvision draws again where one does not fit, and at last
takes the whole.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in grey, ITU-R BT.601
NARROWEST_RATIO = 3 / 4  # of a crop's width to its height; the widest is its inverse


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far images may be changed; the defaults change nothing.

    Attributes:
        flip: Mirror half of the samples left to right and exchange their eyes (a mirrored left eye looks like
            a right eye).
        flip_vertical: Turn half of the samples upside down, all their views.
        crop: Smallest share of its area that a crop of an image keeps; 1 crops nothing.
        rotate_deg: Largest rotation of an image, either way.
        scale: Largest relative change of size: 0.1 means 0.9 to 1.1.
        brightness: Largest relative change of all values.
        contrast: Largest relative change of the distance to the pair's mean grey.
        saturation: Largest relative change of the distance to the pixel's own grey.
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
        """Changes images.

        Args:
            images: Values in 0 to 1.
            generator: On the CPU, whatever the images' device, so that every device sees the same changes.

        Returns:
            The changed images in 0 to 1, and which samples were mirrored, so that their views have changed
                places.
        """
        swapped = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        if self.flip:
            swapped = _random_half(images, generator)
            images = torch.where(_over_pixels(swapped), images.flip((1, -1)), images)
        if self.flip_vertical:
            turned = _random_half(images, generator)
            images = torch.where(_over_pixels(turned), images.flip(-2), images)
        if self.rotate_deg or self.scale or self.crop < 1:
            images = self._change_geometry(images, generator)
        if self.brightness or self.contrast or self.saturation:
            images = self._change_light(images, generator)
        return images, swapped

    def _change_geometry(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> Float[Tensor, "b v c h w"]:
        """Rotates and scales each image about its centre, then crops it, in one sampling.

        What comes from outside of the image is black.
        """
        flat = images.flatten(0, 1)
        angle = _uniform(len(flat), math.radians(self.rotate_deg), generator)
        size = 1 / (1 + _uniform(len(flat), self.scale, generator))
        cos, sin, zero = size * angle.cos(), size * angle.sin(), torch.zeros_like(angle)
        affine = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
        if self.crop < 1:
            affine = affine @ random_crops(len(flat), self.crop, generator)
        grid = functional.affine_grid(affine.to(flat), list(flat.shape), align_corners=False)
        return functional.grid_sample(flat, grid, align_corners=False).view_as(images)

    def _change_light(
        self, images: Float[Tensor, "b v c h w"], generator: torch.Generator
    ) -> Float[Tensor, "b v c h w"]:
        """Brightness, then saturation, then contrast, the same for all views of a sample, as one sum.

        With factors b, s, c and a pixel's grey g: b (c s x + c (1 - s) g + (1 - c) mean g).
        """
        b, s, c = (
            _over_pixels((1 + _uniform(len(images), most, generator)).to(images))
            for most in (self.brightness, self.saturation, self.contrast)
        )
        grey = torch.einsum("bvchw,c->bvhw", images, images.new_tensor(LUMA)).unsqueeze(2)
        mean = grey.mean(dim=(1, 2, 3, 4), keepdim=True)
        return (images * (b * c * s)).add_(grey * (b * c * (1 - s)) + b * (1 - c) * mean).clamp_(0, 1)


def random_crops(num: int, smallest: float, generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Affine maps from the square [-1, 1]² to random rectangles inside it.

    The area is uniform between the shares `smallest` and 1 of the square. The logarithm of width/height is
    uniform between those of 3/4 and 4/3, as far as the rectangle fits. The place is uniform.
    """
    area = 1 - torch.rand(num, generator=generator) * (1 - smallest)
    widest = torch.minimum(-area.log(), torch.tensor(-math.log(NARROWEST_RATIO)))
    ratio = ((torch.rand(num, generator=generator) * 2 - 1) * widest).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)
    centres = (torch.rand(num, 2, generator=generator) * 2 - 1) * (1 - sides)
    crops = torch.diag_embed(torch.cat([sides, torch.ones(num, 1)], dim=1))
    crops[:, :2, 2] = centres
    return crops


def _random_half(images: Float[Tensor, "b v c h w"], generator: torch.Generator) -> Bool[Tensor, " b"]:
    """True for about half of the samples."""
    return (torch.rand(len(images), generator=generator) < 0.5).to(images.device)


def _over_pixels(values: Shaped[Tensor, " b"]) -> Shaped[Tensor, "b 1 1 1 1"]:
    """One value a sample, in a shape that is broadcast over all pixels of the sample."""
    return values[:, None, None, None, None]


def _uniform(num: int, most: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Uniform numbers in -most to most."""
    return (torch.rand(num, generator=generator) * 2 - 1) * most
