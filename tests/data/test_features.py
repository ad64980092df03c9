"""Features are kept in half precision, whatever their size, and come back in the order that is asked for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.data import resident
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cache import ImageCache
from study.data.datasets.phantom import Phantom
from study.data.feature_batches import FeatureBatches
from study.data.features import FeatureSet, Shape, _scaled
from study.data.preprocessing import Preprocessing
from study.data.turns import DrawnPass, Turn, TurnedViews
from study.spec.errors import StorageError

CPU = torch.device("cpu")
PX = 16


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    pairs = Phantom(None, num_patients=23, size_px=32).read()
    return ImageCache.build(pairs, Preprocessing(image_px=PX), tmp_path_factory.mktemp("cache"))


def kept(images: ImageCache, folder: Path, turns: tuple[Turn, ...]) -> FeatureSet:
    """The images themselves as features."""
    rows = np.arange(len(images.pairs))
    passes = [
        Batches(images, rows, batch_size=10, device=CPU, normalise="half", augmentation=turn)
        for turn in turns
    ]
    shape = Shape(len(turns), len(rows), 2, (1, 3, PX, PX))
    return FeatureSet.named(folder, ["a", *turns], shape).make(passes, lambda x: x.unsqueeze(2), shape)


@given(st.floats(1e-30, 1e37), st.integers(0, 5))
def test_half_precision_is_as_near_as_the_module_says(size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, 2, 50, generator=generator) * size * torch.logspace(-6, 0, 50)
    scaled, scale = _scaled(values)
    again = scaled.half().float() * scale[..., None]
    largest = values.abs().amax(2, keepdim=True)
    bound = torch.maximum(2**-11 * values.abs(), 2**-39 * largest)
    assert (again - values).abs().le(bound).all()
    assert torch.equal(scale.log2(), scale.log2().round())


@pytest.mark.parametrize("value", [0.0, torch.inf, torch.nan])
def test_values_without_a_scale_stay_what_they_are(value: float) -> None:
    scaled, scale = _scaled(torch.full((1, 1, 3), value))
    torch.testing.assert_close(scaled.half().float() * scale, torch.full((1, 1, 3), value), equal_nan=True)


def test_features_are_made_once(images: ImageCache, tmp_path: Path) -> None:
    first = kept(images, tmp_path, (Turn(),))
    changed = (first.folder / "features.npy").stat().st_mtime_ns
    again = kept(images, tmp_path, (Turn(),))
    assert again.folder == first.folder
    assert (again.folder / "features.npy").stat().st_mtime_ns == changed
    assert kept(images, tmp_path, (Turn(), Turn(across=True))).folder != first.folder
    assert first.features.nbytes == Shape(1, 23, 2, (1, 3, PX, PX)).num_bytes


@pytest.mark.parametrize("align", ["none", "flip_right"])
@pytest.mark.parametrize("flip_vertical", [False, True])
def test_turned_features_are_those_of_turned_images(
    images: ImageCache, tmp_path: Path, align: str, flip_vertical: bool
) -> None:
    turns = tuple(Turn(across=a, down=d) for a in (False, True) for d in (False, True))
    rows = np.arange(3, 20)
    views = TurnedViews(
        turns=turns, num_views=2, flip=True, flip_vertical=flip_vertical, aligned=align == "flip_right"
    )
    found = FeatureBatches(
        kept(images, tmp_path, turns), rows, views, batch_size=4, device=CPU, seed=5, order="shuffle"
    )

    expected = Batches(
        images,
        rows,
        batch_size=4,
        device=CPU,
        normalise="half",
        augmentation=Augmentation(flip=True, flip_vertical=flip_vertical),
        align="flip_right" if align == "flip_right" else "none",
        seed=5,
        order="shuffle",
    )
    for epoch in range(2):
        found.set_epoch(epoch)
        expected.set_epoch(epoch)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours.features[:, :, 0], theirs.images, rtol=1e-3, atol=1e-3)
            assert torch.equal(ours.targets, theirs.targets)
            assert torch.equal(ours.view_targets, theirs.view_targets)
            assert torch.equal(ours.rows, theirs.rows)


def test_features_on_the_device_are_those_of_the_disk(
    images: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = (Turn(), Turn(across=True))
    found = kept(images, tmp_path, turns)
    views = TurnedViews(turns=turns, num_views=2, flip=True)
    rows = np.arange(23)
    mapped = list(FeatureBatches(found, rows, views, batch_size=8, device=CPU))
    monkeypatch.setattr(resident, "fits", lambda array, device: True)
    monkeypatch.setattr(resident, "BYTES_AT_A_TIME", 5000)
    on_device = list(FeatureBatches(found, rows, views, batch_size=8, device=CPU))
    assert all(torch.equal(a.features, b.features) for a, b in zip(mapped, on_device, strict=True))
    assert not torch.equal(mapped[0].features, mapped[1].features)


def test_a_drawn_pass_is_one_for_all_views_of_a_sample() -> None:
    passes, views = DrawnPass(4, 2)(1000, torch.Generator().manual_seed(0))
    assert np.array_equal(passes[:, 0], passes[:, 1])
    assert np.array_equal(views, np.tile([0, 1], (1000, 1)))
    assert np.bincount(passes[:, 0]).min() > 200


def test_a_disk_without_room_is_named_before_the_work(
    images: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Tensor] = []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    shape = Shape(1, len(images.pairs), 2, (1, 3))

    def encode(x: Tensor) -> Tensor:
        encoded.append(x)
        return x

    passes = [Batches(images, np.arange(5), batch_size=5, device=CPU, normalise="half")]
    with pytest.raises(
        StorageError, match=r"features of a frozen network needs 59 KiB, got 1 KiB free.*features_gb"
    ):
        FeatureSet.named(tmp_path, [], shape).make(passes, encode, shape._replace(samples=5000))
    assert encoded == []
