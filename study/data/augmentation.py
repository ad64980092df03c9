"""Random changes of a batch of pairs that a pair could have had: both eyes flip together and trade places, one light for both.

Source: the flip with exchange of the eyes follows public ODIR-5K practice; the rest are the usual affine and photometric changes.
Differs: parameters of light are drawn for the pair, of geometry for each image.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """How far images may be changed; all zero changes nothing.

    Attributes:
        flip: Mirror half of the samples left to right and exchange their eyes (a mirrored left eye looks like a right eye).
        rotate_deg: Largest rotation of an image, either way.
        scale: Largest relative change of size, 0.1 for 0.9 to 1.1.
        brightness: Largest relative change of all values.
        contrast: Largest relative change of the distance to the pair's mean grey.
        saturation: Largest relative change of the distance to each pixel's grey.
    """

    flip: bool = False
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
            swapped = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
            images = torch.where(swapped[:, None, None, None, None], images.flip(-1).flip(1), images)
        if self.rotate_deg or self.scale:
            images = self._move(images, generator)
        if self.brightness or self.contrast or self.saturation:
            images = self._relight(images, generator)
        return images, swapped

    def _move(self, images: Float[Tensor, "b v c h w"], generator: torch.Generator) -> Float[Tensor, "b v c h w"]:
        """Rotates and scales each image about its centre in one sampling; what comes from outside is black."""
        flat = images.flatten(0, 1)
        angle = _spread(len(flat), math.radians(self.rotate_deg), generator)
        size = 1 / (1 + _spread(len(flat), self.scale, generator))
        cos, sin, zero = size * angle.cos(), size * angle.sin(), torch.zeros_like(angle)
        affine = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(affine.to(flat), list(flat.shape), align_corners=False)
        return functional.grid_sample(flat, grid, align_corners=False).view_as(images)

    def _relight(self, images: Float[Tensor, "b v c h w"], generator: torch.Generator) -> Float[Tensor, "b v c h w"]:
        """Brightness, then saturation, then contrast, the same for all views of a sample, in one weighted sum.

        With factors b, s, c and a pixel's grey g: b (c s x + c (1 - s) g + (1 - c) mean g).
        """
        b, s, c = (
            (1 + _spread(len(images), most, generator)).to(images)[:, None, None, None, None]
            for most in (self.brightness, self.saturation, self.contrast)
        )
        grey = torch.einsum("bvchw,c->bvhw", images, images.new_tensor(GREY)).unsqueeze(2)
        mean = grey.mean(dim=(1, 2, 3, 4), keepdim=True)
        return (images * (b * c * s)).add_(grey * (b * c * (1 - s)) + b * (1 - c) * mean).clamp_(0, 1)


def _spread(num: int, most: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Uniform numbers in -most to most."""
    return (torch.rand(num, generator=generator) * 2 - 1) * most
