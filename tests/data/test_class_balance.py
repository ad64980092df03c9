from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.data.batches import Batches
from study.data.cache import ImageCache
from study.data.class_balance import balanced_order
from study.data.datasets.phantom import Phantom
from study.data.preprocessing import Preprocessing

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    """Pairs of five grades, most of them healthy."""
    return ImageCache.build(
        Phantom(None, variant="grades", num_patients=90, size_px=16).read(),
        Preprocessing(image_px=16),
        tmp_path_factory.mktemp("c"),
    )


def loaders(
    cache: ImageCache, batch_size: int = 10, world_size: int = 1, seed: int = 0, epoch: int = 0
) -> list[Batches]:
    """The batches of each process."""
    rows = np.arange(3, len(cache.pairs))
    found = []
    for rank in range(world_size):
        loader = Batches(
            cache,
            rows,
            batch_size=batch_size,
            device=CPU,
            normalise="half",
            order="class_balanced",
            seed=seed,
            rank=rank,
            world_size=world_size,
        )
        loader.set_epoch(epoch)
        found.append(loader)
    return found


@given(st.integers(0, 9), st.integers(2, 12), st.integers(1, 5), st.integers(0, 3))
def test_every_batch_holds_its_classes_equally_often(
    seed: int, size: int, num_classes: int, num_batches: int
) -> None:
    rng = np.random.default_rng(seed)
    classes = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, 30)])
    order = balanced_order(classes, [size] * num_batches, rng)
    assert len(order) == size * num_batches
    for start in range(0, len(order), size):
        counts = np.bincount(classes[order[start : start + size]], minlength=num_classes)
        counts = counts[counts > 0]
        assert len(counts) == min(num_classes, max(2, size // 2))
        assert counts.max() - counts.min() <= 1


@given(st.integers(0, 9), st.integers(1, 4))
def test_classes_and_samples_take_turns(seed: int, room: int) -> None:
    rng = np.random.default_rng(seed)
    classes = np.repeat([0, 1, 2, 3, 4], [3, 40, 7, 2, 11])
    order = balanced_order(classes, [2 * room] * 20, rng)
    seen = np.bincount(classes[order], minlength=5)
    assert seen.max() - seen.min() <= max(2, 2 * room)
    for number in range(5):
        times = np.bincount(order, minlength=len(classes))[classes == number]
        assert times.max() - times.min() <= 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [4, 10, 12])
def test_ranks_have_balanced_batches_and_together_the_training_splits_size(
    cache: ImageCache, world_size: int, batch_size: int
) -> None:
    of_ranks = loaders(cache, batch_size, world_size)
    num = 0
    for loader in of_ranks:
        batches = list(loader)
        assert len(batches) == len(loader) == len(of_ranks[0])
        for batch in batches:
            counts = batch.targets.sum(0)
            counts = counts[counts > 0]
            assert len(counts) == min(5, max(2, len(batch.rows) // 2))
            assert counts.max() - counts.min() <= 1
            assert torch.equal(batch.targets, torch.from_numpy(cache.pairs.targets[batch.rows]).float())
            num += len(batch.rows)
    rows = torch.cat([batch.rows for loader in of_ranks for batch in loader])
    assert num == len(rows) == len(cache.pairs) - 3
    assert rows.min() >= 3


def test_a_rare_class_is_repeated_only_when_all_of_it_was_seen(cache: ImageCache) -> None:
    rows = torch.cat([batch.rows for loader in loaders(cache, 10, 2) for batch in loader])
    times = np.bincount(rows.numpy(), minlength=len(cache.pairs))[3:]
    classes = cache.pairs.targets[3:].argmax(1)
    for number in range(5):
        assert np.ptp(times[classes == number]) <= 1
    assert times[classes == np.bincount(classes).argmin()].min() >= 1


def test_the_order_follows_seed_and_epoch_and_nothing_else(cache: ImageCache) -> None:
    def rows(**settings: Any) -> list[int]:
        return torch.cat([batch.rows for batch in loaders(cache, **settings)[0]]).tolist()

    assert rows() == rows()
    assert rows(epoch=1) != rows() != rows(seed=1)
    assert rows(epoch=1, world_size=2) == rows(epoch=1, world_size=2)
