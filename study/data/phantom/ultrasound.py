"""A B-scan of the eye: lids and lens on top, dark vitreous, bright posterior wall, speckle.

Discrete bright dots are vitreous opacity. One continuous bright arc before the wall is a detached posterior
vitreous.
"""

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageFilter

from study.data.phantom.canvas import Canvas, outlines
from study.data.phantom.patients import patient_rng

UltrasoundClass: TypeAlias = Literal["vitreous_opacity", "posterior_detachment"]
CLASSES: tuple[UltrasoundClass, UltrasoundClass] = ("vitreous_opacity", "posterior_detachment")
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def draw_ultrasound(
    finding: UltrasoundClass, seed: int, number: int, frame: int, size_px: int
) -> UInt8[np.ndarray, "h w 3"]:
    """One frame of a patient's examination.

    All frames of a patient show an eye of one size; each has its own place of the probe.

    Args:
        finding: What is in the vitreous.
        seed: Seed of the phantom.
        number: The patient's number.
        frame: Number of the frame.
        size_px: Side of the picture in pixels.
    """
    shared, own = patient_rng(seed, number, 30), patient_rng(seed, number, 40, frame)
    x, y = own.normal(0, 0.05), -0.06 + own.normal(0, 0.03)
    radius = shared.uniform(0.58, 0.68)
    canvas = Canvas(size_px, BLACK)
    _tissue(canvas, own, x, y, radius)
    if finding == "vitreous_opacity":
        _dots(canvas, own, x, y, radius)
    else:
        _membrane(canvas, own, x, y, radius)
    _speckle(canvas, own)
    return canvas.bytes()


def _tissue(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """Soft tissue around the globe, the fat behind it with the nerve's shadow, the wall and the lens."""
    distance = np.hypot(canvas.x - x, canvas.y - y)
    outside, depth = distance > radius, canvas.y - y
    around = np.clip(0.34 + 0.06 * canvas.noise(rng, 9) - 0.3 * np.abs(canvas.x - x), 0, 1)
    canvas.blend((around * outside * np.clip(1.1 - np.abs(depth), 0.1, 1)).astype(np.float32), WHITE)
    fading = np.exp(-np.clip(distance - radius, 0, 9) / 0.22)
    fat = fading * outside * np.clip(depth / radius - 0.45, 0, 1) * 1.5
    canvas.blend(np.clip(fat * (0.95 + 0.2 * canvas.noise(rng, 22)), 0, 0.95).astype(np.float32), WHITE)
    aside = (canvas.x - x - 0.3 * depth - rng.uniform(-0.1, 0.1)) / 0.07
    nerve = np.exp(-(aside**2)) * (depth > radius * 0.9)
    canvas.light((1 - 0.7 * nerve).astype(np.float32))
    wall = np.exp(-(((distance - radius) / 0.022) ** 2)) * np.clip(depth / radius - 0.2, 0, 1)
    canvas.blend(np.clip(wall, 0, 0.95).astype(np.float32), WHITE)
    turn = np.linspace(-2.3, -0.85, 24)
    for share, flat, strength in ((1.0, 1.0, 0.55), (0.55, 0.5, 0.7), (0.5, -0.22, 0.5)):
        arc_x = x + share * radius * np.cos(turn)
        arc_y = y - 0.55 * radius * (share < 1) + flat * share * radius * np.sin(turn)
        arc = np.stack([arc_x, arc_y], axis=1)
        canvas.blend(strength * canvas.lines(arc[None], np.array([0.03])), WHITE)


def _dots(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    num = int(rng.integers(14, 40))
    turn, away = rng.uniform(0, 2 * np.pi, num), 0.78 * radius * np.sqrt(rng.uniform(0, 1, num))
    centres = np.stack([x + away * np.cos(turn), y + 0.12 * radius + 0.8 * away * np.sin(turn)], axis=1)
    for group, strength in ((centres[::2], 0.95), (centres[1::2], 0.6)):
        dots = outlines(rng, group, rng.uniform(0.014, 0.034, len(group)))
        canvas.blend(strength * canvas.blobs(dots), WHITE)


def _membrane(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """A thin wavy arc that hangs before the wall, fixed at one end or at both."""
    ends = rng.uniform(0.0, 0.7), np.pi - rng.uniform(0.0, 0.7)
    turn = np.linspace(*ends, 60)
    detached = np.sin(np.linspace(0, rng.uniform(0.7, 1.0) * np.pi, 60)) ** rng.uniform(0.5, 1.2)
    folds = np.interp(np.arange(60), [0, 20, 40, 59], rng.normal(0, 0.05, 4))
    folds = folds + 0.018 * np.sin(np.linspace(0, rng.uniform(6, 16), 60))
    away = radius * 0.99 - rng.uniform(0.25, 0.8) * radius * detached + folds
    arc = np.stack([x + away * np.cos(turn), y + away * np.sin(turn)], axis=1)
    if rng.random() < 0.5:
        arc[:, 0] = 2 * x - arc[:, 0]
    canvas.blend(0.9 * canvas.lines(arc[None], rng.uniform(0.026, 0.04, 1)), WHITE)


def _speckle(canvas: Canvas, rng: np.random.Generator) -> None:
    """Grain that grows with the echo, soft focus, fading of deep echoes, and the sector of the probe."""
    echo = Image.fromarray((canvas.rgb[0] * 255).astype(np.uint8))
    blurred = echo.filter(ImageFilter.GaussianBlur(canvas.size_px / 180))
    soft = np.asarray(blurred, dtype=np.float32) / 255
    grey = (soft + rng.uniform(0.015, 0.04)) * _grain(canvas, rng) * (1.12 - 0.22 * canvas.y)
    probe_y = 1.75
    depth, turn = np.hypot(canvas.x, canvas.y + probe_y), np.arctan2(canvas.x, canvas.y + probe_y)
    edges = (0.62 - np.abs(turn), 2.72 - depth, depth - 0.74)
    left_and_right, bottom, top = (np.clip(distance * 40, 0, 1) for distance in edges)
    canvas.rgb[:] = np.clip(grey, 0, 1) * (left_and_right * bottom * top)


def _grain(canvas: Canvas, rng: np.random.Generator) -> Float32[np.ndarray, "h w"]:
    """Rayleigh-distributed factors of mean 1, wider than they are deep."""
    size = canvas.size_px
    fine: Float[np.ndarray, "h w"] = rng.rayleigh(0.8, (size, max(2, size // 2)))
    wide = Image.fromarray(fine.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    return 0.45 + 0.55 * np.asarray(wide)
