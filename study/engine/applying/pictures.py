"""Small photographs of samples, to look at beside their labels."""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from study.data.cache import ImageCache
from study.data.pairs import Pairs
from study.data.preprocessing import NO_CORRECTION, Preprocessing
from study.data.source import open_dataset
from study.evidence.case_pictures import Pictures, write_pictures
from study.evidence.store import Store
from study.spec.data_section import DataSpec
from study.spec.errors import DataError

PICTURE_PX = 128  # lesions are still seen, and a page of a hundred of them stays under a megabyte


def pictures_of(pairs: Pairs, data: DataSpec, samples: Sequence[str]) -> Pictures:
    """The photographs of samples: cropped as for the network, but with the light that they were taken in.

    Args:
        pairs: The samples of a data set.
        data: How a trial crops images, and what it does about a missing eye.
        samples: Names of the samples. One that is not in the data set (a generated one), or whose image
            cannot be decoded, gets no photograph.

    Raises:
        DataError: Not one of them has a photograph.
    """
    places = {name: place for place, name in enumerate(pairs.table["sample"])}
    rows = [places[name] for name in samples if name in places]
    if not rows:
        raise DataError(
            f"`data.root`: must hold the samples of the run, got none of {len(samples)} in "
            f"`{pairs.root or 'the phantom'}`. Restore the data with which the run was made."
        )
    settings = replace(Preprocessing.of(data), image_px=PICTURE_PX, illumination=NO_CORRECTION)
    with tempfile.TemporaryDirectory() as folder:
        images = ImageCache.build(
            pairs.subset(np.array(rows)),
            settings,
            Path(folder),
            missing_eye=data.missing_eye,
            on_bad_image="skip",
        )
        views = images.images[images.index]
        names = images.pairs.table["sample"]
        return {
            name: [_jpeg(view) for view in of_sample] for name, of_sample in zip(names, views, strict=True)
        }


def training_pictures(store: Store, data: DataSpec, samples: Sequence[str]) -> Pictures:
    """The photographs of samples of the run, from the data set with which it was made.

    Args:
        store: The run.
        data: Data of one of its trials.
        samples: Names of the samples.

    Raises:
        DataError: The data set is not there, or another one is in its place.
    """
    study, pairs = store.read_study(), open_dataset(data)
    if pairs.dataset != study["dataset"]:
        raise DataError(
            f"`data.root`: must lead to the run's data set {study['dataset']}, got {pairs.dataset}. "
            f"Set or unset STUDY_ROOT_{data.dataset.name.upper()} as when the run was made."
        )
    return pictures_of(pairs, data, samples)


def keep_pictures(store: Store, data: DataSpec, samples: Sequence[str]) -> None:
    """Keeps the photographs of samples in the run, for its report; the rest is as in `training_pictures`.

    Raises:
        StorageError: The run cannot be written to.
    """
    pictures = training_pictures(store, data, samples)
    write_pictures(store, pictures, synthetic=bool(store.read_study()["synthetic"]))


def _jpeg(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()
