"""Every illumination correction keeps its folder's contract, and each one's formula is recomputed slowly."""

import math
import pickle
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from jaxtyping import UInt8
from skimage.color import rgb2lab

from study.data.field import inside_field
from study.data.illuminations.clahe_graham import ClaheGraham
from study.data.illuminations.clahe_lab import ClaheLab
from study.data.illuminations.graham import Graham
from study.data.illuminations.local_mean import LocalMean
from study.data.illuminations.msr import Msr
from study.data.pairs import EYES
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import fundus_patient
from study.spec import components
from study.spec.catalogue import entries
from study.spec.errors import SpecError

Image: TypeAlias = UInt8[np.ndarray, "h w 3"]
NAMES = components.names("illumination")
OUTSIDE = {"none": 0, "graham": 128, "clahe_lab": 0, "local_mean": 0, "msr": 0}


def fundus(px: int = 64) -> Image:
    return draw_fundus(fundus_patient(0, 3), 0, 3, EYES[0], px)


def noise(height: int = 40, width: int = 40, low: int = 40, high: int = 220) -> Image:
    return np.random.default_rng(1).integers(low, high, (height, width, 3)).astype(np.uint8)


def build(name: str, **args: Any) -> Callable[[Image], Image]:
    component = components.parse("illumination", {"name": name, **args}, "data.illumination")
    correction: Callable[[Image], Image] = components.build("illumination", component)
    return correction


def assert_near(found: np.ndarray, expected: np.ndarray, within: int = 1) -> None:
    assert np.abs(found.astype(int) - np.clip(np.rint(expected), 0, 255)).max() <= within


def test_the_folder_holds_what_the_study_file_promises() -> None:
    assert {"none", "graham", "clahe_lab", "clahe_graham", "local_mean", "msr"} <= set(NAMES)
    for entry in entries("illumination"):
        assert entry.summary
        assert entry.source
        assert entry.differs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "image",
    [fundus(), noise(16, 16), noise(53, 37), noise(224, 224)],
    ids=["fundus", "small", "odd", "large"],
)
def test_shape_type_and_input_stay_and_the_result_repeats(name: str, image: Image) -> None:
    correct, before = build(name), image.copy()
    image.setflags(write=False)
    first = correct(image)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    correct(noise(20, 20))
    assert np.array_equal(correct(image), first)
    assert np.array_equal(pickle.loads(pickle.dumps(correct))(image), first)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 1, 90, 255])
def test_an_image_of_one_value_has_no_detail_to_enlarge(name: str, value: int) -> None:
    flat = build(name)(np.full((32, 32, 3), value, dtype=np.uint8))
    assert np.ptp(flat[8:-8, 8:-8]) == 0


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_field_of_view_is_what_the_method_says(name: str) -> None:
    image = fundus()
    corrected = build(name)(image)
    outside = ~inside_field(image)
    assert outside.mean() > 0.1
    assert (corrected[outside] == OUTSIDE[name]).all() or name == "none"
    assert np.ptp(corrected[~outside]) > 50


def gaussian(sigma_px: float) -> np.ndarray:
    """The weights of a Gaussian of one dimension, cut off at three standard deviations."""
    reach = int(3 * sigma_px + 0.5)
    taps: np.ndarray = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    return np.asarray(taps / taps.sum())


def mirrored(image: np.ndarray, y: int, x: int, taps: np.ndarray) -> np.ndarray:
    """The weighted mean around a pixel, the image mirrored at the middle of its border pixels."""
    reach = len(taps) // 2
    offsets = np.arange(-reach, reach + 1)
    rows, columns = (
        np.minimum(np.abs(at + offsets), 2 * (side - 1) - np.abs(at + offsets))
        for at, side in ((y, image.shape[0]), (x, image.shape[1]))
    )
    return np.asarray(np.einsum("i,j,ijc->c", taps, taps, image[np.ix_(rows, columns)]))


def test_graham_follows_its_formula() -> None:
    image = noise(61, 61, 60, 120)
    y, x = np.mgrid[-30:31, -30:31]
    radius = np.asarray(np.hypot(y, x))
    image[radius > 30] = 0
    corrected = Graham(divisor=10.0)(image)
    taps = gaussian(30.5 / 10)
    for at in [(30, 30), (12, 40), (25, 8), (50, 42)]:
        assert_near(corrected[at], 4 * (image[at] - mirrored(image.astype(float), *at, taps)) + 128)
    assert (corrected[radius > 0.9 * 30.5] == 128).all()
    assert (corrected[radius < 0.9 * 30.5 - 1] != 128).any(axis=1).mean() > 0.8
    assert (Graham(fill=0)(image)[radius > 28] == 0).all()


def test_grahams_circle_is_the_fields_own_where_its_poles_are_cut_off() -> None:
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    y, x = np.mgrid[:60, :80]
    image[np.hypot(y - 29.5, x - 44.5) < 35] = 200
    kept = np.all(Graham(keep=1.0, fill=0)(image) > 0, axis=2)
    assert kept[:, 44].all()
    assert not kept[:, :9].any()
    assert kept[29, 11:79].all()


def slow_equalised(lightness: np.ndarray, clip: float) -> np.ndarray:
    """CLAHE of one tile.

    A bin of 256 holds at most `clip` means, what exceeds it is spread, and the sums are stretched to 0 to 1.
    """
    low, high = lightness.min(), lightness.max()
    bins = np.minimum((lightness - low) / (high - low) * (2**14 - 1), 2**14 - 1).round().astype(int) // 65
    hist = np.bincount(bins.ravel(), minlength=256).astype(float)
    limit = max(1.0, clip * lightness.size / 256)
    for _ in range(1000):
        excess = np.maximum(hist - limit, 0).sum()
        room = hist < limit
        if excess < 1e-9 or not room.any():
            break
        hist = np.minimum(hist, limit)
        hist[room] += excess / room.sum()
    mapped = np.cumsum(hist)[bins]
    return np.asarray((mapped - mapped.min()) / (mapped.max() - mapped.min()))


@pytest.mark.parametrize("clip", [1.5, 2.0, 4.0, 256.0])
def test_clahe_of_one_tile_is_its_clipped_histogram_summed(clip: float) -> None:
    y, x = np.mgrid[:64, :64]
    grey = (30 + 150 * np.exp(-((y - 40) ** 2 + (x - 20) ** 2) / 300) + noise(64, 64, 0, 20)[..., 0]).astype(
        np.uint8
    )
    image = np.repeat(grey[..., None], 3, axis=2)
    found = rgb2lab(ClaheLab(clip=clip, tiles=1)(image))[..., 0]
    expected = 100 * slow_equalised(rgb2lab(image)[..., 0] / 100, clip)
    assert np.abs(found - expected).max() < 2


def test_clahe_changes_lightness_and_hardly_colour() -> None:
    image = noise(64, 64, 80, 160)
    before, after = rgb2lab(image), rgb2lab(ClaheLab()(image))
    assert after[..., 0].std() > 1.3 * before[..., 0].std()
    inner = (after[..., 0] > 25) & (after[..., 0] < 75)
    assert np.median(np.abs(after - before)[inner][:, 1:]) < 1


def test_the_two_steps_of_clahe_graham_follow_one_another() -> None:
    image = fundus()
    equalised = ClaheLab(clip=3.0, tiles=4)(image)
    corrected = ClaheGraham(clip=3.0, tiles=4, sigma_px=5.0)(image)
    taps = gaussian(5.0)
    for at in [(32, 32), (20, 40), (3, 60), (0, 0)]:
        assert_near(corrected[at], 4 * (equalised[at] - mirrored(equalised.astype(float), *at, taps)) + 128)


def window(y: int, x: int, size: int) -> tuple[slice, slice]:
    top, left = y - size // 2, x - size // 2
    return slice(max(0, top), max(0, top + size)), slice(max(0, left), max(0, left + size))


@pytest.mark.parametrize("mean", [None, 128.0])
def test_local_mean_follows_its_formula(mean: float | None) -> None:
    image = fundus()
    field = inside_field(image)
    corrected = LocalMean(window=0.2, mean=mean)(image)
    target = image[field].mean(axis=0) if mean is None else mean
    for y, x in np.argwhere(field)[::97].tolist():
        around = window(y, x, round(0.2 * 64))
        expected = image[y, x] + target - image[around][field[around]].mean(axis=0)
        assert_near(corrected[y, x], expected)


def test_multi_scale_retinex_follows_its_formula() -> None:
    image = fundus()
    field = inside_field(image)
    sigmas, clip = [0.05, 0.2], 0.02
    lights = np.zeros((2, 64, 64, 3))
    for k, sigma in enumerate(sigmas):
        width = 2 * round((math.sqrt(4 * (64 * sigma) ** 2 + 1) - 1) / 2) + 1
        box = np.full(width, 1 / width)
        taps = np.convolve(np.convolve(box, box), box)
        variance = (taps * (np.arange(len(taps)) - len(taps) // 2) ** 2).sum()
        assert math.sqrt(variance) == pytest.approx(64 * sigma, rel=0.2)
        plain = np.pad(
            image * field[..., None].astype(float), ((len(taps), len(taps)), (len(taps), len(taps)), (0, 0))
        )
        share = np.pad(field.astype(float), len(taps))
        reach = len(taps) // 2
        for y, x in zip(*np.nonzero(field), strict=True):
            around = (
                slice(y + len(taps) - reach, y + len(taps) + reach + 1),
                slice(x + len(taps) - reach, x + len(taps) + reach + 1),
            )
            weight = np.outer(taps, taps) * share[around]
            lights[k, y, x] = (weight[..., None] * plain[around]).sum(axis=(0, 1)) / weight.sum()
    reflected = (np.log1p(image.astype(float)) - np.log1p(lights).mean(axis=0))[field]
    low, high = np.quantile(reflected, [clip, 1 - clip])
    found = Msr(sigmas=sigmas, clip=clip)(image)[field]
    expected = np.clip((reflected - low) / (high - low) * 255, 0, 255)
    # A few pixels differ, where a box reaches over the frame again.
    assert (np.abs(found.astype(int) - expected) <= 2).mean() > 0.98


@pytest.mark.parametrize("name", ["graham", "clahe_graham", "local_mean", "msr"])
def test_a_slope_of_light_disappears_and_texture_stays(name: str) -> None:
    texture = np.random.default_rng(0).normal(0, 6, (96, 96))
    slope = np.linspace(60, 180, 96)[None, :]
    image = np.repeat((slope + texture)[..., None], 3, axis=2).astype(np.uint8)

    def slope_to_texture(image: np.ndarray) -> float:
        inner = slice(20, -20)
        values = image[inner, inner, 0].astype(float).ravel()
        parts = (np.broadcast_to(part, (96, 96))[inner, inner].ravel() for part in (slope, texture))
        of_slope, of_texture = (float(np.corrcoef(values, part)[0, 1]) for part in parts)
        return abs(of_slope) / of_texture

    assert 0 < slope_to_texture(build(name)(image)) < slope_to_texture(image) / 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("grahm", r"`data.illumination`: must be a known illumination, got `grahm`. Did you mean `graham`"),
        ({"name": "graham", "keep": 0}, r"`data.illumination.graham.keep`: .*greater than 0, got 0"),
        ({"name": "msr", "sigmas": []}, r"`data.illumination.msr.sigmas`: .*at least 1"),
        (
            {"name": "clahe_lab", "clips": 2},
            r"`data.illumination.clahe_lab.clips`: unknown key. Did you mean `clip`",
        ),
    ],
)
def test_what_is_wrong_is_named(value: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        components.parse("illumination", value, "data.illumination")
