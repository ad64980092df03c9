"""A fundus photograph: ground, macula, disc with cup, vessels and lesions, seen through a round aperture."""

import numpy as np
from jaxtyping import Float, UInt8

from study.data.pairs import EYES, Eye
from study.data.phantom import lesions, vessels
from study.data.phantom.canvas import Canvas
from study.data.phantom.patients import Patient, patient_rng

PALE_GROUND, DARK_GROUND = np.array([0.93, 0.52, 0.24]), np.array([0.50, 0.19, 0.08])


def draw_fundus(
    patient: Patient, seed: int, number: int, eye: Eye, size_px: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph of one eye of a patient.

    The left eye is the right one mirrored, with small differences.

    Args:
        patient: What the eyes have.
        seed: Seed of the phantom.
        number: The patient's number.
        eye: Which eye.
        size_px: Side of the picture in pixels.
    """
    view = EYES.index(eye)
    found, tone = patient.findings[view], patient.tones[view]
    # Random numbers that both eyes of the patient share, and those of this eye.
    shared, own = patient_rng(seed, number, 10), patient_rng(seed, number, 20 + view)
    canvas = Canvas(size_px, _colour(shared, tone))
    disc = np.array([0.56, 0.0]) + shared.normal(0, 0.035, 2) + own.normal(0, 0.01, 2)
    macula = np.array([-0.2, 0.07]) + shared.normal(0, 0.02, 2) + own.normal(0, 0.01, 2)
    counts = _diabetic_counts(own, found, patient.grades[view])
    _ground(canvas, own, macula)
    if "M" in found:
        lesions.tessellation(canvas, own)
    if "O" in found:
        lesions.naevus(canvas, own, macula)
    if "A" in found:
        lesions.drusen(canvas, own, macula)
    lesions.diabetic_back(canvas, own, macula, counts)
    _disc(canvas, shared, own, disc, found)
    _vessels(canvas, shared, own, disc, macula, narrow="H" in found)
    lesions.diabetic_front(canvas, own, disc, counts)
    if "H" in found:
        lesions.hypertensive(canvas, own, disc)
    if "C" in found:
        lesions.haze(canvas, own)
    _aperture(canvas, shared, own)
    picture = canvas.bytes()
    return np.ascontiguousarray(picture[:, ::-1]) if eye == "left" else picture


def _diabetic_counts(rng: np.random.Generator, found: str, grade: int) -> lesions.Counts:
    if "D" not in found:
        return lesions.GRADED[grade]
    return lesions.Counts(dots=int(rng.integers(8, 34)), exudates=int(rng.integers(10, 44)), tufts=0)


def _colour(rng: np.random.Generator, tone: float) -> tuple[float, float, float]:
    """The ground's colour: pigment from pale (0) to dark (1), with the tint of a camera."""
    tint = rng.uniform([0.96, 0.92, 0.8], [1.04, 1.08, 1.25])
    red, green, blue = (PALE_GROUND + tone * (DARK_GROUND - PALE_GROUND)) * tint
    return float(red), float(green), float(blue)


def _ground(canvas: Canvas, rng: np.random.Generator, macula: Float[np.ndarray, " 2"]) -> None:
    """Texture, and the macula as a darker spot with a small bright reflex."""
    coarse, middle = 0.045 * canvas.noise(rng, 6), 0.022 * canvas.noise(rng, 28)
    fine = 0.012 * canvas.noise(rng, max(2, canvas.size_px // 2))
    canvas.light(1 + coarse + middle + fine)
    canvas.blend(0.42 * canvas.glow(macula[0], macula[1], 0.17), (0.36, 0.11, 0.05))
    canvas.blend(0.5 * canvas.glow(macula[0], macula[1], 0.055), (0.26, 0.05, 0.03))
    canvas.blend(0.5 * canvas.glow(macula[0] + 0.015, macula[1] - 0.015, 0.014), (0.95, 0.7, 0.45))


def _disc(
    canvas: Canvas,
    shared: np.random.Generator,
    own: np.random.Generator,
    disc: Float[np.ndarray, " 2"],
    found: str,
) -> None:
    """The optic disc with its cup. Glaucoma (G) widens the cup and pales the rim, myopia tilts the disc."""
    radius = float(shared.uniform(0.155, 0.185))
    cup = float(np.clip(shared.uniform(0.25, 0.42) + own.normal(0, 0.02), 0.2, 0.46))
    squeeze = 0.92
    if "M" in found:
        lesions.crescent(canvas, own, disc, radius)
        squeeze = 0.7
    if "G" in found:
        radius, cup = radius * 1.12, float(own.uniform(0.68, 0.88))
        canvas.blend(0.55 * canvas.disc(disc[0], disc[1], radius * 1.45, 0.1), (0.96, 0.82, 0.6))
    canvas.blend(0.2 * canvas.glow(disc[0], disc[1], 0.32), (1.0, 0.75, 0.4))
    canvas.blend(0.96 * canvas.disc(disc[0], disc[1], radius, 0.045, squeeze), (0.99, 0.71, 0.42))
    canvas.blend(0.4 * canvas.disc(disc[0] - 0.03, disc[1], radius * 0.8, 0.1, squeeze), (1.0, 0.84, 0.55))
    canvas.blend(0.95 * canvas.disc(disc[0] - 0.012, disc[1], radius * cup, 0.05, squeeze), (1.0, 0.98, 0.86))


def _vessels(
    canvas: Canvas,
    shared: np.random.Generator,
    own: np.random.Generator,
    disc: Float[np.ndarray, " 2"],
    macula: Float[np.ndarray, " 2"],
    *,
    narrow: bool,
) -> None:
    """Dark, wide veins and lighter arteries with a reflex along the middle, which hypertension narrows."""
    arteries, veins = (vessels.warp(tree, own) for tree in vessels.grow(shared, disc, macula))
    thin = 0.55 if narrow else 1.0
    canvas.blend(0.8 * canvas.lines(veins.paths, veins.widths), (0.40, 0.06, 0.05))
    canvas.blend(0.75 * canvas.lines(arteries.paths, arteries.widths * thin), (0.66, 0.13, 0.08))
    wide = arteries.widths > 0.014
    reflex = canvas.lines(arteries.paths[wide], arteries.widths[wide] * 0.3 * thin)
    canvas.blend(0.35 * reflex, (0.98, 0.55, 0.35))


def _aperture(canvas: Canvas, shared: np.random.Generator, own: np.random.Generator) -> None:
    """Uneven light, a bright or dark border, black outside; some cameras cut the circle above and below."""
    distance = np.hypot(canvas.x, canvas.y)
    turn, tilt = own.uniform(0, 2 * np.pi), own.uniform(0, 0.1)
    light = own.uniform(0.92, 1.06) * (1 - shared.uniform(0.12, 0.4) * distance**3)
    canvas.light((light + tilt * (canvas.x * np.cos(turn) + canvas.y * np.sin(turn))).astype(np.float32))
    rim = np.clip((distance - 0.8) / 0.2, 0, 1) ** 2 * float(shared.uniform(0, 0.3))
    canvas.blend(rim.astype(np.float32), (0.82, 0.72, 0.5))
    pixel = 2 / canvas.size_px
    inside = np.clip((1 - distance) / pixel + 0.5, 0, 1)
    if shared.random() < 0.3:
        inside *= np.clip((0.87 - np.abs(canvas.y)) / pixel + 0.5, 0, 1)
    canvas.light(inside.astype(np.float32))
