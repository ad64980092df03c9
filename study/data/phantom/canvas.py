"""A square picture to draw on, with soft masks and smooth noise.

Coordinates: the centre is 0, the radius of the field 1, and y points down.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw

FIELD_RADIUS = 0.95  # of the unit circle, in halves of the picture's side
OVERSAMPLE = 3  # masks are drawn this many times larger, then averaged
OUTLINE_POINTS = 12

Colour = tuple[float, float, float]


class Canvas:
    """Planes of red, green and blue in 0 to 1.

    Args:
        size_px: Side of the picture in pixels.
        colour: What the picture is filled with.
    """

    def __init__(self, size_px: int, colour: Colour) -> None:
        self.size_px = size_px
        self.x, self.y = _grid(size_px)
        self.rgb = np.empty((3, size_px, size_px), dtype=np.float32)
        self.rgb[:] = _planes(colour)

    def blend(self, mask: Float32[np.ndarray, "h w"], colour: Colour) -> None:
        """Moves the picture toward a colour where the mask is above 0."""
        step = _planes(colour) - self.rgb
        step *= mask
        self.rgb += step

    def light(self, factor: Float32[np.ndarray, "h w"]) -> None:
        """Multiplies all channels."""
        self.rgb *= factor

    def disc(
        self, x: float, y: float, radius: float, edge: float, squeeze: float = 1.0
    ) -> Float32[np.ndarray, "h w"]:
        """An ellipse with a soft edge; `squeeze` below 1 makes it narrow."""
        dx, dy = (self.x - np.float32(x)) / np.float32(squeeze), self.y - np.float32(y)
        distance = np.sqrt(dx**2 + dy**2)
        mask: Float32[np.ndarray, "h w"] = np.clip((radius - distance) / edge + 0.5, 0, 1).astype(np.float32)
        return mask

    def glow(self, x: float, y: float, radius: float) -> Float32[np.ndarray, "h w"]:
        """A Gaussian spot with this radius as standard deviation."""
        squares = (self.x - np.float32(x)) ** 2 + (self.y - np.float32(y)) ** 2
        spot: Float32[np.ndarray, "h w"] = np.exp(squares / np.float32(-2 * radius**2))
        return spot

    def blobs(self, shapes: Float[np.ndarray, "n p 2"]) -> Float32[np.ndarray, "h w"]:
        """Filled outlines."""
        image, draw = self._sheet()
        for outline in self._pixels(shapes):
            draw.polygon(outline, fill=255)
        return _reduced(image)

    def lines(
        self, paths: Float[np.ndarray, "n p 2"], widths: Float[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "h w"]:
        """Strokes of these widths."""
        image, draw = self._sheet()
        width_px = np.maximum(1, np.rint(widths * (self.size_px * OVERSAMPLE * FIELD_RADIUS / 2))).astype(int)
        for path, width in zip(self._pixels(paths), width_px.tolist(), strict=True):
            draw.line(path, fill=255, width=width)
        return _reduced(image)

    def noise(self, rng: np.random.Generator, cells: int) -> Float32[np.ndarray, "h w"]:
        """Smooth noise, whose variance is 1 at its knots, of which there are `cells` a side."""
        knots = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        return np.asarray(knots.resize((self.size_px, self.size_px), Image.Resampling.BICUBIC))

    def bytes(self) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as 8-bit RGB."""
        levels = (np.clip(self.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
        return np.ascontiguousarray(levels.transpose(1, 2, 0))

    def _sheet(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """An empty mask, larger than the picture, and what draws on it."""
        side = self.size_px * OVERSAMPLE
        image = Image.new("L", (side, side))
        return image, ImageDraw.Draw(image)

    def _pixels(self, shapes: Float[np.ndarray, "n p 2"]) -> list[list[float]]:
        """Coordinates x, y, x, y, ... of each shape on the larger mask."""
        scaled = (shapes * FIELD_RADIUS + 1) * (self.size_px * OVERSAMPLE / 2)
        flat: list[list[float]] = scaled.reshape(len(shapes), -1).tolist()
        return flat


def outlines(
    rng: np.random.Generator,
    centres: Float[np.ndarray, "n 2"],
    radii: Float[np.ndarray, " n"],
    stretch: float = 1.0,
    angles: Float[np.ndarray, " n"] | None = None,
    ragged: float = 0.2,
) -> Float[np.ndarray, "n p 2"]:
    """Uneven round outlines.

    Args:
        rng: Source of the unevenness.
        centres: Centres of the outlines.
        radii: Their mean radii.
        stretch: How many times longer they are in the direction of `angles`.
        angles: Their directions in radians; None for 0.
        ragged: Largest relative change of the radius.
    """
    turn = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    radius = radii[:, None] * (1 + ragged * rng.uniform(-1, 1, (len(radii), OUTLINE_POINTS)))
    along, across = radius * np.cos(turn) * stretch, radius * np.sin(turn)
    angle = (np.zeros(len(radii)) if angles is None else angles)[:, None]
    x = along * np.cos(angle) - across * np.sin(angle)
    y = along * np.sin(angle) + across * np.cos(angle)
    shapes: Float[np.ndarray, "n p 2"] = centres[:, None] + np.stack([x, y], axis=-1)
    return shapes


@lru_cache(maxsize=8)
def _grid(size_px: int) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Coordinates x and y of each pixel."""
    axis = ((np.arange(size_px, dtype=np.float32) + 0.5) * 2 / size_px - 1) / np.float32(FIELD_RADIUS)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _planes(colour: Colour) -> Float32[np.ndarray, "3 1 1"]:
    return np.asarray(colour, dtype=np.float32)[:, None, None]


def _reduced(image: Image.Image) -> Float32[np.ndarray, "h w"]:
    """A mask at the picture's size, 0 to 1."""
    return np.asarray(image.reduce(OVERSAMPLE), dtype=np.float32) / np.float32(255)
