"""What disease draws on a retina; each finding can still be seen at 64 pixels."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from study.data.phantom.canvas import Canvas, outlines

# Colours, red, green and blue in 0 to 1.
BLOOD = (0.42, 0.02, 0.03)
EXUDATE = (1.0, 0.92, 0.55)
DRUSEN = (1.0, 0.86, 0.58)
COTTON_WOOL = (0.97, 0.93, 0.85)

Point = Float[np.ndarray, " 2"]


class Counts(NamedTuple):
    """How much diabetic retinopathy an eye shows.

    Attributes:
        dots: Number of microaneurysms and round haemorrhages.
        exudates: Number of hard exudates.
        tufts: Number of tufts of new vessels.
    """

    dots: int
    exudates: int
    tufts: int


GRADED = (Counts(0, 0, 0), Counts(5, 0, 0), Counts(14, 24, 0), Counts(42, 40, 0), Counts(30, 46, 3))
"""Mean counts of each grade."""


def diabetic_back(canvas: Canvas, rng: np.random.Generator, macula: Point, counts: Counts) -> None:
    """Hard exudates: small bright yellow spots in clusters around the macula, below the vessels."""
    num = round(counts.exudates * rng.uniform(0.8, 1.2))
    if num == 0:
        return
    turns = rng.uniform(0, 2 * np.pi, 3)
    hubs = macula + rng.uniform(0.2, 0.48, (3, 1)) * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    centres = hubs[rng.integers(0, 3, num)] + rng.normal(0, 0.07, (num, 2))
    spots = canvas.blobs(outlines(rng, centres, rng.uniform(0.012, 0.034, num)))
    canvas.blend(0.92 * _soft(spots, canvas.size_px / 300), EXUDATE)


def diabetic_front(canvas: Canvas, rng: np.random.Generator, disc: Point, counts: Counts) -> None:
    """Dark red dots all over and, with tufts, the signs of proliferative retinopathy, above the vessels."""
    num = round(counts.dots * rng.uniform(0.85, 1.15))
    if num:
        centres = _scattered(rng, num, 0.86)
        dots = outlines(rng, centres, rng.uniform(0.018, 0.042, num), ragged=0.1)
        canvas.blend(0.9 * canvas.blobs(dots), BLOOD)
    if counts.tufts:
        _proliferation(canvas, rng, disc, counts.tufts)


def _proliferation(canvas: Canvas, rng: np.random.Generator, disc: Point, num_tufts: int) -> None:
    """Curls of new vessels at the disc, and a boat-shaped haemorrhage."""
    turn = np.linspace(0, 14, 40)
    away = 0.03 + turn / 160
    curl = np.stack([np.cos(turn) * away, np.sin(turn * 1.3) * away], axis=1)
    curls = np.stack([disc + rng.normal(0, 0.14, 2) + curl for _ in range(num_tufts)])
    canvas.blend(0.85 * canvas.lines(curls, np.full(num_tufts, 0.014)), (0.6, 0.05, 0.05))
    x, y = rng.uniform(-0.45, 0.05), rng.uniform(0.3, 0.55)
    half_turn = np.linspace(0, np.pi, 16)
    hull = np.stack([x + 0.26 * np.cos(half_turn), y + 0.17 * np.sin(half_turn)], axis=1)
    canvas.blend(0.9 * _soft(canvas.blobs(hull[None]), canvas.size_px / 200), BLOOD)


def drusen(canvas: Canvas, rng: np.random.Generator, macula: Point) -> None:
    """A: many soft pale spots in the macula, some of which run together, with clumped pigment."""
    num = int(rng.integers(24, 60))
    centres = macula + rng.normal(0, 0.17, (num, 2))
    spots = outlines(rng, centres, rng.uniform(0.022, 0.055, num))
    canvas.blend(0.8 * _soft(canvas.blobs(spots), canvas.size_px / 160), DRUSEN)
    centres = macula + rng.normal(0, 0.06, (4, 2))
    clumps = outlines(rng, centres, rng.uniform(0.02, 0.045, 4))
    canvas.blend(0.6 * canvas.blobs(clumps), (0.2, 0.08, 0.04))


def hypertensive(canvas: Canvas, rng: np.random.Generator, disc: Point) -> None:
    """H: flame haemorrhages, red streaks that radiate from the disc, and cotton-wool spots."""
    num = int(rng.integers(10, 26))
    turns = np.pi + rng.uniform(-2.2, 2.2, num)
    away = rng.uniform(0.26, 0.72, num)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    flames = outlines(rng, disc + away, rng.uniform(0.016, 0.03, num), stretch=4.2, angles=turns, ragged=0.35)
    canvas.blend(0.88 * canvas.blobs(flames), (0.55, 0.03, 0.04))
    num = int(rng.integers(4, 7))
    turns = np.pi + rng.uniform(-1.8, 1.8, num)
    centres = disc + rng.uniform(0.3, 0.6, num)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    spots = outlines(rng, centres, rng.uniform(0.045, 0.07, num), stretch=1.4)
    canvas.blend(0.9 * _soft(canvas.blobs(spots), canvas.size_px / 90), COTTON_WOOL)


def tessellation(canvas: Canvas, rng: np.random.Generator) -> None:
    """M, the ground: thin and pale, so that the choroidal vessels shine through, most in the periphery."""
    away = np.clip(np.hypot(canvas.x, canvas.y) * 1.5 - 0.1, 0.15, 1)
    canvas.blend((0.6 * away).astype(np.float32), (0.98, 0.72, 0.45))
    for cells, width in ((9, 0.34), (15, 0.3)):
        ridge = np.clip(1 - np.abs(canvas.noise(rng, cells)) / width, 0, 1)
        canvas.blend((0.6 * away * np.sqrt(ridge)).astype(np.float32), (0.72, 0.2, 0.09))


def crescent(canvas: Canvas, rng: np.random.Generator, disc: Point, radius: float) -> None:
    """M, at the disc: a pale atrophic crescent on its temporal side."""
    size = radius * rng.uniform(1.3, 1.5)
    pale = canvas.disc(disc[0] - 0.55 * radius, disc[1], size, 0.05, squeeze=0.85)
    canvas.blend(0.85 * pale, (1.0, 0.93, 0.74))
    rim = canvas.disc(disc[0], disc[1], radius * 1.12, 0.03, squeeze=0.72)
    canvas.blend(0.5 * rim, (0.72, 0.3, 0.16))


def naevus(canvas: Canvas, rng: np.random.Generator, macula: Point) -> None:
    """O in one eye: a large slate-dark spot off the macula."""
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.55)
    centre = np.clip(macula + away * np.array([np.cos(turn), np.sin(turn)]), -0.6, 0.45)
    blob = canvas.blobs(outlines(rng, centre[None], np.array([rng.uniform(0.2, 0.3)]), stretch=1.25))
    canvas.blend(0.9 * _soft(blob, canvas.size_px / 64), (0.12, 0.14, 0.15))


def haze(canvas: Canvas, rng: np.random.Generator) -> None:
    """C: a clouded lens blurs everything and lays a whitish veil over it, denser toward one side."""
    sharp = Image.fromarray(canvas.bytes())
    blurred = sharp.filter(ImageFilter.GaussianBlur(canvas.size_px * rng.uniform(0.014, 0.028)))
    canvas.rgb = np.asarray(blurred, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    turn = rng.uniform(0, 2 * np.pi)
    density, slope = rng.uniform(0.36, 0.54), 0.18 * (canvas.x * np.cos(turn) + canvas.y * np.sin(turn))
    veil = density + slope + 0.03 * canvas.noise(rng, 4)
    canvas.blend(np.clip(veil, 0, 0.8).astype(np.float32), (0.78, 0.74, 0.62))


def _scattered(rng: np.random.Generator, num: int, radius: float) -> Float[np.ndarray, "n 2"]:
    """Points evenly over a disc."""
    turn, away = rng.uniform(0, 2 * np.pi, num), radius * np.sqrt(rng.uniform(0.02, 1, num))
    return np.stack([away * np.cos(turn), away * np.sin(turn)], axis=1)


def _soft(mask: Float[np.ndarray, "h w"], radius_px: float) -> Float[np.ndarray, "h w"]:
    blurred = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius_px))
    return np.asarray(blurred, dtype=np.float32) / np.float32(255)
