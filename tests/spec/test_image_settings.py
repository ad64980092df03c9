"""The image settings of a study file: where holes may stand, and what is refused while it is read."""

from typing import Any

import pytest

from study.data.preprocessing import Preprocessing
from study.spec.errors import SpecError
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

BOX = {"left": 100, "top": 300, "right": 400, "bottom": 50, "origin": "bottom_left"}


def read(**data: Any) -> TrialSpec:
    return TrialSpec.read({"data": {"dataset": "phantom", **data}, "model": {"backbone": "tiny"}})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"crop_box": BOX}, r"`data.crop_box`: cuts the image itself and needs `data.crop: none`, got fov"),
        (
            {"crop": "none", "crop_box": {**BOX, "origin": "top_left"}},
            r"top < bottom with the origin top_left, got left 100, top 300",
        ),
        (
            {"crop": "none", "crop_box": {**BOX, "top": 40}},
            r"left < right and top > bottom with the origin bottom_left",
        ),
        ({"crop": "none", "crop_box": {**BOX, "right": 100}}, r"left < right and top > bottom"),
        (
            {"crop": "none", "crop_box": {**BOX, "botom": 3}},
            r"`data.crop_box.botom`: unknown key. Did you mean `bottom`",
        ),
        (
            {"crop": "none", "crop_box": {**BOX, "left": -1}},
            r"`data.crop_box.left`: .*greater than or equal to 0",
        ),
        ({"align": "right"}, r"`data.align`: input should be 'none' or 'flip_right'"),
        ({"augmentation": {"crop": 0}}, r"`data.augmentation.crop`: .*greater than 0"),
        ({"augmentation": {"cutmix": {"kind": "any"}}}, r"`data.augmentation.cutmix.kind`: input should be"),
        (
            {"augmentation": {"cutmix": {"probability": 2}}},
            r"`data.augmentation.cutmix.probability`: .*less than or equal to 1",
        ),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(**data)


def test_the_papers_box_can_be_written() -> None:
    spec = read(crop="none", crop_box=BOX)
    assert spec.data.crop_box is not None
    assert TrialSpec.read(spec.dump()) == spec


@pytest.mark.parametrize(
    "augmentation",
    [
        {"flip": False, "rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0},
        {
            "flip": True,
            "flip_vertical": True,
            "crop": 0.08,
            "brightness": 0.4,
            "contrast": 0.4,
            "saturation": 0.4,
        },
        {"flip": True, "flip_vertical": True, "crop": 0.8, "brightness": 0.1},
    ],
    ids=["d1", "d2_literal", "d2_safe"],
)
def test_the_papers_data_sets_can_be_written(augmentation: dict[str, Any]) -> None:
    spec = read(augmentation=augmentation, normalise="half")
    assert spec.data.augmentation.model_dump(include=set(augmentation)) == augmentation


def test_every_choice_of_illumination_is_prepared_once() -> None:
    corrections = [
        "none",
        {"name": "graham", "gain": {"type": "float", "low": 2.0, "high": 4.0, "step": 2.0}},
        "clahe_lab",
    ]
    holes = {
        "illumination": {"type": "categorical", "choices": corrections},
        "align": {"type": "categorical", "choices": ["none", "flip_right"]},
    }
    data: dict[str, Any] = {"dataset": "phantom", **holes}
    spec = StudySpec.read({"study": "a", "data": data, "model": {"backbone": "tiny"}})
    assert "data.illumination.graham.gain" in spec.holes()
    prepared = {repr(Preprocessing.of(filling.data)) for filling in spec.corners()}
    assert len(prepared) == 4
