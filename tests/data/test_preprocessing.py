import pickle
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.data.illuminations.graham import Graham
from study.data.preprocessing import Preprocessing
from study.spec.components import Component
from study.spec.data_section import CropBoxSpec, DataSpec
from study.spec.errors import BadImageError


def test_pad_keeps_the_aspect_ratio_and_stretch_does_not() -> None:
    image = np.full((30, 60, 3), 200, dtype=np.uint8)
    padded = Preprocessing(image_px=40, crop="none", fit="pad")(image)
    assert (padded[10:30] == 200).all()
    assert not padded[:10].any()
    assert not padded[30:].any()
    assert (Preprocessing(image_px=40, crop="none", fit="stretch")(image) == 200).all()


def test_shrinking_averages_instead_of_sampling() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert Preprocessing(image_px=8, crop="none")(stripes) == pytest.approx(100, abs=12)


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from(["none", "fov"]),
    st.sampled_from(["pad", "stretch"]),
)
def test_every_size_becomes_the_square(
    height: int, width: int, crop: Literal["none", "fov"], fit: Literal["pad", "stretch"]
) -> None:
    image = np.full((height, width, 3), 90, dtype=np.uint8)
    result = Preprocessing(image_px=16, crop=crop, fit=fit)(image)
    assert result.shape == (16, 16, 3)
    assert result.dtype == np.uint8
    assert result.max() == 90


NUMBERED = (
    np.arange(60, dtype=np.uint8)[:, None, None]
    + np.arange(0, 160, 2, dtype=np.uint8)[None, :, None]
    + np.zeros(3, dtype=np.uint8)
)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ({"left": 10, "top": 5, "right": 50, "bottom": 45}, slice(5, 45), slice(10, 50)),
        (
            {"left": 10, "top": 50, "right": 50, "bottom": 10, "origin": "bottom_left"},
            slice(10, 50),
            slice(10, 50),
        ),
        (
            {"left": 0, "top": 60, "right": 60, "bottom": 0, "origin": "bottom_left"},
            slice(0, 60),
            slice(0, 60),
        ),
    ],
)
def test_a_box_is_cut_out_before_anything_else(box: dict[str, Any], rows: slice, columns: slice) -> None:
    expected = NUMBERED[rows, columns]
    prepared = Preprocessing(image_px=len(expected), crop="none", crop_box=CropBoxSpec(**box))(NUMBERED)
    assert np.array_equal(prepared, expected)


def test_the_papers_box_is_300_wide_and_250_high_from_the_lower_edge() -> None:
    image = np.zeros((480, 640, 3), dtype=np.uint8)
    image[180:430, 100:400] = 200
    box = CropBoxSpec(left=100, top=300, right=400, bottom=50, origin="bottom_left")
    assert (Preprocessing(image_px=32, crop="none", fit="stretch", crop_box=box)(image) == 200).all()


@pytest.mark.parametrize("box", [(0, 0, 81, 60), (0, 0, 80, 61), (0, 61, 80, 0)])
def test_a_box_beyond_the_image_is_refused(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    origin: Literal["top_left", "bottom_left"] = "bottom_left" if top > bottom else "top_left"
    crop_box = CropBoxSpec(left=left, top=top, right=right, bottom=bottom, origin=origin)
    preprocessing = Preprocessing(image_px=16, crop="none", crop_box=crop_box)
    with pytest.raises(BadImageError, match=r"80 x 60 pixels, beyond which `data.crop_box` reaches"):
        preprocessing(NUMBERED)


def test_the_light_is_corrected_last() -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3)).astype(np.uint8)
    graham = Component(name="graham", args={"gain": 2.0})
    corrected = Preprocessing(image_px=40, crop="none", illumination=graham)(image)
    assert np.array_equal(corrected, Graham(gain=2.0)(Preprocessing(image_px=40, crop="none")(image)))


def test_the_settings_of_a_trial_become_those_of_its_images() -> None:
    crop_box = CropBoxSpec(left=0, top=0, right=9, bottom=9)
    msr = Component(name="msr", args={"clip": 0.02})
    data = DataSpec(
        dataset=Component(name="phantom"),
        image_px=48,
        crop="none",
        fit="stretch",
        crop_box=crop_box,
        illumination=msr,
    )
    wanted = Preprocessing(image_px=48, crop="none", fit="stretch", crop_box=crop_box, illumination=msr)
    assert Preprocessing.of(data) == wanted
    changes: list[dict[str, Any]] = [
        {},
        {"image_px": 32},
        {"crop": "fov", "crop_box": None},
        {"fit": "pad"},
        {"illumination": "msr"},
        {"crop_box": None},
    ]
    changed = [DataSpec.model_validate({**dict(data), **change}) for change in changes]
    assert len({repr(Preprocessing.of(settings)) for settings in changed}) == 6


def test_preprocessing_can_be_sent_to_another_process_after_its_use() -> None:
    preprocessing = Preprocessing(image_px=16, illumination=Component(name="clahe_lab"))
    image = np.random.default_rng(0).integers(0, 255, (30, 30, 3)).astype(np.uint8)
    before = preprocessing(image)
    assert np.array_equal(pickle.loads(pickle.dumps(preprocessing))(image), before)
