"""Every illumination correction keeps its folder's contract, and each one's formula is recomputed slowly."""

import math
import pickle

import numpy as np
import pytest
from skimage.color import rgb2lab

from study.data.field import inside_field
from study.data.illuminations.clahe_graham import ClaheGraham
from study.data.illuminations.clahe_lab import ClaheLab
from study.data.illuminations.graham import Graham
from study.data.illuminations.local_mean import LocalMean
from study.data.illuminations.msr import Msr
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import EYES, fundus_patient
from study.spec import components
from study.spec.catalogue import entries
from study.spec.errors import SpecError

NAMES = components.names("illumination")
OUTSIDE = {"none": 0, "graham": 128, "clahe_lab": 0, "local_mean": 0, "msr": 0}


def fundus(px=64):
    return draw_fundus(fundus_patient(0, 3), 0, 3, EYES[0], px)


def noise(height=40, width=40, low=40, high=220):
    return np.random.default_rng(1).integers(low, high, (height, width, 3)).astype(np.uint8)


def build(name, **args):
    return components.build(
        "illumination", components.parse("illumination", {"name": name, **args}, "data.illumination")
    )


def near(found, expected, within=1):
    assert np.abs(found.astype(int) - np.clip(np.rint(expected), 0, 255)).max() <= within


def test_the_folder_holds_what_the_study_file_promises():
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
def test_shape_type_and_input_stay_and_the_result_repeats(name, image):
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
def test_an_image_of_one_value_has_no_detail_to_enlarge(name, value):
    flat = build(name)(np.full((32, 32, 3), value, dtype=np.uint8))
    assert np.ptp(flat[8:-8, 8:-8]) == 0


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_field_of_view_is_what_the_method_says(name):
    image = fundus()
    corrected = build(name)(image)
    outside = ~inside_field(image)
    assert outside.mean() > 0.1
    assert (corrected[outside] == OUTSIDE[name]).all() or name == "none"
    assert np.ptp(corrected[~outside]) > 50


def bell(sigma_px):
    taps = np.exp(-0.5 * (np.arange(-int(3 * sigma_px + 0.5), int(3 * sigma_px + 0.5) + 1) / sigma_px) ** 2)
    return taps / taps.sum()


def mirrored(image, y, x, taps):
    """The weighted mean around a pixel, the image mirrored at the middle of its border pixels."""
    reach = len(taps) // 2
    total = np.zeros(3)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            row, column = (
                min(abs(at), 2 * (side - 1) - abs(at))
                for at, side in ((y + dy, image.shape[0]), (x + dx, image.shape[1]))
            )
            total += taps[dy + reach] * taps[dx + reach] * image[row, column]
    return total


def test_graham_follows_its_formula():
    image = noise(61, 61, 60, 120)
    y, x = np.mgrid[-30:31, -30:31]
    image[y**2 + x**2 > 30**2] = 0
    corrected = Graham(divisor=10.0)(image)
    taps = bell(30.5 / 10)
    for at in [(30, 30), (12, 40), (25, 8), (50, 42)]:
        near(corrected[at], 4 * (image[at] - mirrored(image.astype(float), *at, taps)) + 128)
    radius = np.hypot(y, x)
    assert (corrected[radius > 0.9 * 30.5] == 128).all()
    assert (corrected[radius < 0.9 * 30.5 - 1] != 128).any(axis=1).mean() > 0.8
    assert (Graham(fill=0)(image)[radius > 28] == 0).all()


def test_grahams_circle_is_the_fields_own_where_its_poles_are_cut_off():
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    y, x = np.mgrid[:60, :80]
    image[np.hypot(y - 29.5, x - 44.5) < 35] = 200
    kept = (Graham(keep=1.0, fill=0)(image) > 0).all(axis=2)
    assert kept[:, 44].all()
    assert not kept[:, :9].any()
    assert kept[29, 11:79].all()


def slow_equalised(lightness, clip):
    """CLAHE of one tile: 256 bins of at most clip means, what exceeds is spread, the sums are stretched to 0 to 1."""
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
    return (mapped - mapped.min()) / (mapped.max() - mapped.min())


@pytest.mark.parametrize("clip", [1.5, 2.0, 4.0, 256.0])
def test_clahe_of_one_tile_is_its_clipped_histogram_summed(clip):
    y, x = np.mgrid[:64, :64]
    grey = (30 + 150 * np.exp(-((y - 40) ** 2 + (x - 20) ** 2) / 300) + noise(64, 64, 0, 20)[..., 0]).astype(
        np.uint8
    )
    image = np.repeat(grey[..., None], 3, axis=2)
    found = rgb2lab(ClaheLab(clip=clip, tiles=1)(image))[..., 0]
    expected = 100 * slow_equalised(rgb2lab(image)[..., 0] / 100, clip)
    assert np.abs(found - expected).max() < 2


def test_clahe_changes_lightness_and_hardly_colour():
    image = noise(64, 64, 80, 160)
    before, after = rgb2lab(image), rgb2lab(ClaheLab()(image))
    assert after[..., 0].std() > 1.3 * before[..., 0].std()
    inner = (after[..., 0] > 25) & (after[..., 0] < 75)
    assert np.median(np.abs(after - before)[inner][:, 1:]) < 1


def test_the_two_steps_of_clahe_graham_follow_one_another():
    image = fundus()
    equalised = ClaheLab(clip=3.0, tiles=4)(image)
    corrected = ClaheGraham(clip=3.0, tiles=4, sigma_px=5.0)(image)
    taps = bell(5.0)
    for at in [(32, 32), (20, 40), (3, 60), (0, 0)]:
        near(corrected[at], 4 * (equalised[at] - mirrored(equalised.astype(float), *at, taps)) + 128)


def windows(image, y, x, size):
    top, left = y - size // 2, x - size // 2
    return slice(max(0, top), max(0, top + size)), slice(max(0, left), max(0, left + size))


@pytest.mark.parametrize("mean", [None, 128.0])
def test_local_mean_follows_its_formula(mean):
    image = fundus()
    field = inside_field(image)
    corrected = LocalMean(window=0.2, mean=mean)(image)
    target = image[field].mean(axis=0) if mean is None else mean
    for at in zip(*(part[::97] for part in np.nonzero(field)), strict=True):
        around = windows(image, *at, round(0.2 * 64))
        near(corrected[at], image[at] + target - image[around][field[around]].mean(axis=0))


def test_multi_scale_retinex_follows_its_formula():
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
    inner = (np.abs(found.astype(int) - np.clip((reflected - low) / (high - low) * 255, 0, 255)) <= 2).mean()
    assert inner > 0.98  # the field is cut where boxes reach over the frame once more


@pytest.mark.parametrize("name", ["graham", "clahe_graham", "local_mean", "msr"])
def test_a_slope_of_light_disappears_and_texture_stays(name):
    texture = np.random.default_rng(0).normal(0, 6, (96, 96))
    slope = np.linspace(60, 180, 96)[None, :]
    image = np.repeat((slope + texture)[..., None], 3, axis=2).astype(np.uint8)

    def slope_to_texture(image):
        middle = image[20:-20, 20:-20, 0].astype(float).ravel()
        like = [
            np.corrcoef(middle, np.broadcast_to(part, (96, 96))[20:-20, 20:-20].ravel())[0, 1]
            for part in (slope, texture)
        ]
        return abs(like[0]) / like[1]

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
def test_what_is_wrong_is_named(value, message):
    with pytest.raises(SpecError, match=message):
        components.parse("illumination", value, "data.illumination")
