from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Int
from torch import Tensor

from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cache import IMAGES, ImageCache
from study.data.datasets.phantom import Phantom
from study.data.preprocessing import NORMALISE, Preprocessing
from study.data.resident import CachedRows

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    pairs = Phantom(None, num_patients=23, size_px=32).read()
    return ImageCache.build(pairs, Preprocessing(image_px=16), tmp_path_factory.mktemp("cache"))


def batches(cache: ImageCache, rows: Int[np.ndarray, " n"] | None = None, **settings: Any) -> Batches:
    rows = np.arange(len(cache.pairs)) if rows is None else rows
    return Batches(cache, rows, **{"batch_size": 4, "device": CPU, "normalise": "imagenet", **settings})


def test_a_batch_holds_the_normalised_pixels_and_labels_of_its_rows(cache: ImageCache) -> None:
    rows = np.array([7, 2, 11, 5, 3])
    mean, std = NORMALISE["imagenet"]
    seen = []
    for images, targets, view_targets, index in batches(cache, rows, batch_size=3):
        seen += index.tolist()
        pixels = cache.images[cache.index[index.numpy()]].transpose(0, 1, 4, 2, 3) / 255
        expected = (pixels - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
        assert images.numpy() == pytest.approx(expected, abs=1e-5)
        assert np.array_equal(targets, cache.pairs.targets[index])
        assert np.array_equal(view_targets, cache.pairs.view_targets[index])
    assert seen == rows.tolist()


@pytest.mark.parametrize(("num", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (0, [])])
def test_a_last_batch_of_one_joins_the_one_before(cache: ImageCache, num: int, sizes: list[int]) -> None:
    loader = batches(cache, np.arange(num))
    assert [len(batch.rows) for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_order_and_changes_follow_seed_and_epoch(cache: ImageCache) -> None:
    def epoch(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        loader = batches(
            cache,
            order="shuffle",
            seed=seed,
            augmentation=Augmentation(flip=True, rotate_deg=10.0, brightness=0.2),
        )
        loader.set_epoch(number)
        parts = list(loader)
        return torch.cat([b.rows for b in parts]), torch.cat([b.images for b in parts])

    rows, images = epoch(1)
    assert sorted(rows.tolist()) == list(range(23))
    assert all(torch.equal(a, b) for a, b in zip(epoch(1), (rows, images), strict=True))
    assert not torch.equal(epoch(2)[0], rows)
    assert not torch.equal(epoch(1, seed=5)[0], rows)


def test_labels_of_the_eyes_follow_their_images(cache: ImageCache) -> None:
    loader = batches(cache, batch_size=23, augmentation=Augmentation(flip=True))
    plain, changed = next(iter(batches(cache, batch_size=23))), next(iter(loader))
    swapped = [not torch.equal(a, b) for a, b in zip(plain.images, changed.images, strict=True)]
    assert 0 < sum(swapped) < 23
    for i, flipped in enumerate(swapped):
        assert torch.equal(
            changed.view_targets[i], plain.view_targets[i].flip(0) if flipped else plain.view_targets[i]
        )
    assert torch.equal(changed.targets, plain.targets)


@given(
    st.integers(2, 23),
    st.integers(1, 4),
    st.integers(2, 6),
    st.sampled_from(["given", "shuffle"]),
    st.integers(0, 3),
)
def test_ranks_share_the_samples_without_loss_or_double(
    cache: ImageCache, num: int, world_size: int, batch_size: int, order: str, epoch: int
) -> None:
    loaders = [
        batches(cache, np.arange(num), batch_size=batch_size, order=order, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for loader in loaders:
        loader.set_epoch(epoch)
    shares = [list(chain.from_iterable(batch.rows.tolist() for batch in loader)) for loader in loaders]
    assert sorted(row for share in shares for row in share) == list(range(num))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    if num >= world_size:
        assert len({len(loader) for loader in loaders}) == 1
        assert max(len(batch.rows) for batch in loaders[0]) <= batch_size + 2


def test_batches_can_be_changed_in_place_without_touching_the_cache(cache: ImageCache) -> None:
    before = cache.images[:].copy()
    for batch in batches(cache):
        batch.images.zero_()
    assert np.array_equal(cache.images, before)


def test_rows_come_in_the_order_that_is_asked_for(cache: ImageCache) -> None:
    rows = CachedRows(cache.folder / IMAGES, CPU, resident=False)
    wanted = np.array([[5, 3], [0, 5]])
    assert np.array_equal(rows(wanted).numpy(), cache.images[wanted])


def test_residence_is_for_cuda_devices_only(cache: ImageCache) -> None:
    assert all(
        torch.equal(a.images, b.images)
        for a, b in zip(batches(cache, resident=True), batches(cache), strict=True)
    )


def test_images_lie_in_memory_as_networks_are_trained(cache: ImageCache) -> None:
    augmentation = Augmentation(flip=True, rotate_deg=10.0, brightness=0.2)
    for changes in (None, augmentation):
        for batch in batches(cache, augmentation=changes):
            assert batch.images.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
