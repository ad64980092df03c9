import numpy as np
import pytest
from jaxtyping import UInt8

from study.data.field import field_of_view, inside_field


def disc(
    height: int = 120, width: int = 200, radius: int = 50, value: int = 200, noise: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    y, x = np.mgrid[:height, :width]
    image = np.random.default_rng(0).integers(0, noise + 1, (height, width, 3)).astype(np.uint8)
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2] = (value, value // 3, value // 6)
    return image


@pytest.mark.parametrize("value", [255, 120, 40])
def test_the_crop_finds_the_disc_at_any_brightness(value: int) -> None:
    assert field_of_view(disc(value=value, noise=value // 20)) == pytest.approx((10, 110, 50, 150), abs=2)


def test_large_frames_are_searched_coarsely() -> None:
    assert field_of_view(disc(1200, 2000, 500)) == pytest.approx((100, 1100, 500, 1500), abs=8)


def test_near_black_and_tiny_fields_are_not_cropped() -> None:
    whole = (0, 120, 0, 200)
    assert field_of_view(disc(value=12)) == whole
    assert field_of_view(disc(radius=10)) == whole
    assert field_of_view(np.zeros((120, 200, 3), dtype=np.uint8)) == whole


def test_print_in_a_corner_does_not_widen_the_field() -> None:
    image = disc()
    image[2:4, 2:6] = 255
    assert field_of_view(image) == pytest.approx((10, 110, 50, 150), abs=2)


def test_dark_places_of_the_field_are_inside_and_specks_are_not() -> None:
    image = disc()
    y, x = np.mgrid[:120, :200]
    round_field = (y - 60) ** 2 + (x - 100) ** 2 < 50**2
    image[50:70, 90:110] = 0
    image[60, 20] = image[5, 5] = 255
    inside = inside_field(image)
    specks = np.zeros_like(inside)
    specks[60, 20:51] = specks[5, 5] = True
    assert np.array_equal(inside & ~specks, round_field & ~specks)
    assert not inside[59, 20:50].any()


def test_all_of_a_nearly_black_frame_is_inside() -> None:
    assert inside_field(disc(value=12)).all()
