import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.data.preprocessing import Preprocessing, field_of_view


def disc(height=120, width=200, radius=50, value=200, noise=0):
    y, x = np.mgrid[:height, :width]
    image = np.random.default_rng(0).integers(0, noise + 1, (height, width, 3)).astype(np.uint8)
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2] = (value, value // 3, value // 6)
    return image


@pytest.mark.parametrize("value", [255, 120, 40])
def test_the_crop_finds_the_disc_at_any_brightness(value):
    assert field_of_view(disc(value=value, noise=value // 20)) == pytest.approx((10, 110, 50, 150), abs=2)


def test_large_frames_are_searched_coarsely():
    assert field_of_view(disc(1200, 2000, 500)) == pytest.approx((100, 1100, 500, 1500), abs=8)


def test_near_black_and_tiny_fields_are_not_cropped():
    whole = (0, 120, 0, 200)
    assert field_of_view(disc(value=12)) == whole
    assert field_of_view(disc(radius=10)) == whole
    assert field_of_view(np.zeros((120, 200, 3), dtype=np.uint8)) == whole


def test_print_in_a_corner_does_not_widen_the_field():
    image = disc()
    image[2:4, 2:6] = 255
    assert field_of_view(image) == pytest.approx((10, 110, 50, 150), abs=2)


def test_pad_keeps_the_aspect_ratio_and_stretch_does_not():
    image = np.full((30, 60, 3), 200, dtype=np.uint8)
    padded = Preprocessing(40, crop="none", fit="pad")(image)
    assert (padded[10:30] == 200).all()
    assert not padded[:10].any()
    assert not padded[30:].any()
    assert (Preprocessing(40, crop="none", fit="stretch")(image) == 200).all()


def test_shrinking_averages_instead_of_sampling():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert Preprocessing(8, crop="none")(stripes) == pytest.approx(100, abs=12)


@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from(["none", "fov"]), st.sampled_from(["pad", "stretch"]))
def test_every_size_becomes_the_square(height, width, crop, fit):
    image = np.full((height, width, 3), 90, dtype=np.uint8)
    result = Preprocessing(16, crop=crop, fit=fit)(image)
    assert result.shape == (16, 16, 3)
    assert result.dtype == np.uint8
    assert result.max() == 90
