import pickle
import shutil
import time
import warnings
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import UInt8

from study.data.cache import ImageCache
from study.data.datasets.phantom import Phantom
from study.data.images import read_image
from study.data.pairs import Pairs, pairs_table
from study.data.preprocessing import Preprocessing
from study.spec.components import Component
from study.spec.data_section import CropBoxSpec
from study.spec.errors import DataError, StorageError

SMALL = Preprocessing(image_px=16)


@pytest.fixture
def eyes(tmp_path: Path, make_pairs: Callable[..., Pairs], write_image: Callable[..., Path]) -> Pairs:
    """Four patients with both eyes, each image of another brightness."""
    root = tmp_path / "eyes"
    for i in range(4):
        write_image(root / f"s{i}_left.png", 60 + 40 * i)
        write_image(root / f"s{i}_right.png", 80 + 40 * i)
    return make_pairs([[1, 0], [0, 1], [1, 1], [0, 0]], root)


def test_pixels_are_the_preprocessed_images(eyes: Pairs, tmp_path: Path) -> None:
    cache = ImageCache.build(eyes, SMALL, tmp_path / "cache")
    for i, keys in enumerate(eyes.keys):
        for view, key in enumerate(keys):
            assert key is not None
            assert np.array_equal(cache.images[cache.index[i, view]], SMALL(eyes.load(key)))


def test_each_image_is_decoded_once(eyes: Pairs, tmp_path: Path) -> None:
    seen = []

    def load(key: str) -> UInt8[np.ndarray, "h w 3"]:
        seen.append(key)
        return read_image(tmp_path / "eyes" / key)

    table = eyes.table.assign(right=[*eyes.table["right"][:3], "s0_left.png"])
    counted = replace(eyes, load=load, table=table)
    progress: list[tuple[int, int]] = []
    first, again = (
        ImageCache.build(counted, SMALL, tmp_path / "cache", progress=lambda *at: progress.append(at))
        for _ in range(2)
    )
    assert sorted(seen) == sorted(set(table["left"]) | set(table["right"]))
    assert progress == [(i + 1, 7) for i in range(7)]
    assert first.index[3, 1] == first.index[0, 0]
    assert np.array_equal(first.images, again.images)


def test_settings_and_fingerprint_have_caches_of_their_own(eyes: Pairs, tmp_path: Path) -> None:
    folders = {
        ImageCache.build(pairs, settings, tmp_path / "cache").folder
        for pairs, settings in [
            (eyes, SMALL),
            (eyes, replace(SMALL, fit="stretch")),
            (eyes, replace(SMALL, illumination=Component(name="graham"))),
            (eyes, replace(SMALL, illumination=Component(name="graham", args={"fill": 0}))),
            (eyes, replace(SMALL, crop_box=CropBoxSpec(left=0, top=0, right=20, bottom=20))),
            (replace(eyes, fingerprint="other"), SMALL),
        ]
    }
    assert len(folders) == 6


def test_bad_images_are_counted_and_listed(eyes: Pairs, tmp_path: Path) -> None:
    (tmp_path / "eyes" / "s1_left.png").write_text("no picture")
    (tmp_path / "eyes" / "s1_right.png").unlink()
    (tmp_path / "eyes" / "s3_left.png").write_bytes(b"")
    listed = r"s1_left.png: not an image\n  s1_right.png: missing\n  s3_left.png: empty file"
    message = rf"got 3 that are not:\n  {listed}\n.*on_bad_image: skip"
    with pytest.raises(DataError, match=message):
        ImageCache.build(eyes, SMALL, tmp_path / "cache")
    cache = ImageCache.build(eyes, SMALL, tmp_path / "cache", on_bad_image="skip")
    assert cache.pairs.table["sample"].tolist() == ["s0", "s2"]
    assert cache.pairs.skipped == {"bad_image": ["s1", "s3"]}
    assert cache.bad["s3_left.png"] == "empty file"


def test_images_that_a_box_does_not_fit_are_named(
    eyes: Pairs, tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    write_image(tmp_path / "eyes" / "s2_right.png", size=(24, 40))
    boxed = replace(SMALL, crop="none", crop_box=CropBoxSpec(left=0, top=0, right=24, bottom=30))
    with pytest.raises(
        DataError,
        match=r"got 7 that are not:\n  s0_left.png: 24 x 20 pixels, beyond which `data.crop_box` reaches",
    ):
        ImageCache.build(eyes, boxed, tmp_path / "cache")


def test_only_the_first_ten_bad_images_are_listed(make_pairs: Callable[..., Pairs], tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"got 24 that are not:(\n  s\d_(left|right).png: missing){10}\n  and 14 more"
    ):
        ImageCache.build(make_pairs([[1]] * 12, tmp_path), SMALL, tmp_path / "cache")


def test_nothing_left_is_an_error(make_pairs: Callable[..., Pairs], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a sample whose images can be used, got none of 3"):
        ImageCache.build(make_pairs([[1]] * 3, tmp_path), SMALL, tmp_path / "cache", on_bad_image="skip")


def test_a_missing_eye_is_skipped_or_shown_twice(eyes: Pairs, tmp_path: Path) -> None:
    names = eyes.table["sample"].tolist()
    table = pairs_table(names, names, [None, *eyes.table["left"][1:]], list(eyes.table["right"]))
    view_targets = eyes.view_targets.copy()
    view_targets[0] = [[-1, -1], [1, 0]]
    pairs = replace(eyes, table=table, view_targets=view_targets)
    skipped = ImageCache.build(pairs, SMALL, tmp_path / "cache")
    assert skipped.pairs.skipped == {"missing_eye": ["s0"]}
    assert len(skipped.pairs) == len(skipped.index) == 3
    doubled = ImageCache.build(pairs, SMALL, tmp_path / "cache", missing_eye="duplicate")
    assert doubled.folder == skipped.folder
    assert doubled.index[0, 0] == doubled.index[0, 1]
    assert doubled.pairs.view_targets[0].tolist() == [[1, 0], [1, 0]]


def test_single_images_have_one_view(tmp_path: Path) -> None:
    cache = ImageCache.build(
        Phantom(None, variant="ultrasound", num_patients=3, size_px=32).read(), SMALL, tmp_path
    )
    assert cache.index.shape == (len(cache.pairs), 1)


def test_a_pickled_cache_maps_the_file_again(tmp_path: Path) -> None:
    cache = ImageCache.build(Phantom(None, num_patients=30, size_px=32).read(), SMALL, tmp_path)
    pixels = cache.images
    assert isinstance(pixels, np.memmap)
    sent = pickle.dumps(cache)
    assert len(sent) < pixels.nbytes
    assert np.array_equal(pickle.loads(sent).images, pixels)


def test_builders_at_the_same_time_agree_and_leave_nothing_behind(tmp_path: Path) -> None:
    pairs = Phantom(None, num_patients=4, size_px=32).read()
    with ThreadPoolExecutor(3) as pool:
        caches = list(pool.map(lambda _: ImageCache.build(pairs, SMALL, tmp_path), range(3)))
    assert [p.name for p in tmp_path.iterdir()] == [caches[0].folder.name]
    assert all(np.array_equal(c.images, caches[0].images) for c in caches)


def test_a_build_that_is_interrupted_stops_soon_and_leaves_no_cache(
    make_pairs: Callable[..., Pairs], tmp_path: Path
) -> None:
    seen = []

    def load(key: str) -> UInt8[np.ndarray, "h w 3"]:
        seen.append(key)
        time.sleep(0.001)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        ImageCache.build(make_pairs([[1]] * 500, load=load), SMALL, tmp_path / "cache", progress=interrupt)
    assert len(seen) < 500
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_or_full_place_is_named(
    eyes: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="the cache must be writable"):
        ImageCache.build(eyes, SMALL, tmp_path / "file" / "cache")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(StorageError, match=r"needs 102 KiB, got 0 KiB free"):
        ImageCache.build(eyes, SMALL, tmp_path / "cache")


def test_pillows_remarks_stay_in(eyes: Pairs, tmp_path: Path) -> None:
    def load(key: str) -> UInt8[np.ndarray, "h w 3"]:
        warnings.warn("odd file", UserWarning, stacklevel=1)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    assert len(ImageCache.build(replace(eyes, load=load), SMALL, tmp_path / "cache").pairs) == 4


def test_a_folder_without_its_index_is_built_again(eyes: Pairs, tmp_path: Path) -> None:
    cache = ImageCache.build(eyes, SMALL, tmp_path / "cache")
    shutil.rmtree(cache.folder)
    assert np.array_equal(ImageCache.build(eyes, SMALL, tmp_path / "cache").index, cache.index)
