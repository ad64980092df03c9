"""Photographs of samples, from drawn data."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data.source import open_dataset
from study.engine.applying.pictures import PICTURE_PX, keep_pictures, pictures_of, training_pictures
from study.evidence.case_pictures import read_pictures
from study.evidence.store import Store
from study.spec.data_section import DataSpec
from study.spec.errors import DataError
from tests.evidence.fakes import study_row

SETTINGS = {"dataset": "odir5k", "phantom_patients": 20, "image_px": 32}
DATA = DataSpec.model_validate(SETTINGS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.write_study(study_row(dataset="phantom", synthetic=True))
    return store


def test_each_eye_is_a_small_photograph_and_unknown_samples_have_none() -> None:
    pairs = open_dataset(DATA)
    first, last = pairs.table["sample"].iloc[[0, 19]]
    found = pictures_of(pairs, DATA, [last, "generated-N-00001", first])
    assert set(found) == {first, last}
    photos = [np.asarray(Image.open(io.BytesIO(jpeg))) for views in found.values() for jpeg in views]
    assert [photo.shape for photo in photos] == [(PICTURE_PX, PICTURE_PX, 3)] * 4
    assert all(photo.std() > 10 for photo in photos)
    assert not np.array_equal(photos[0], photos[1])


def test_the_light_is_that_of_the_photograph() -> None:
    pairs = open_dataset(DATA)
    sample = [str(pairs.table["sample"].iloc[0])]
    corrected = DataSpec.model_validate({**SETTINGS, "illumination": "graham"})
    assert pictures_of(pairs, corrected, sample) == pictures_of(pairs, DATA, sample)


def test_they_are_kept_in_the_run(store: Store) -> None:
    samples = open_dataset(DATA).table["sample"].iloc[:2].tolist()
    keep_pictures(store, DATA, samples)
    assert read_pictures(store) == training_pictures(store, DATA, samples)
    assert store.problems == []


def test_another_data_set_in_the_place_of_the_runs_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_study(study_row(dataset="odir5k", synthetic=False))
    with pytest.raises(DataError, match="must lead to the run's data set odir5k, got phantom"):
        training_pictures(store, DATA, ["1"])


def test_data_without_any_of_the_samples_are_refused(store: Store) -> None:
    with pytest.raises(DataError, match="must hold the samples of the run, got none of 1 in `the phantom`"):
        training_pictures(store, DATA, ["nobody"])


def test_data_that_have_moved_are_named(store: Store, tmp_path: Path) -> None:
    moved = DATA.model_copy(update={"root": str(tmp_path / "gone")})
    with pytest.raises(DataError, match=r"must be an existing file or folder, got `.*gone`"):
        training_pictures(store, moved, ["1"])
