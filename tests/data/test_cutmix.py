from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Int, UInt8
from torch import Tensor

from study.data.augmentation import Augmentation
from study.data.batches import Batch, Batches
from study.data.cache import ImageCache
from study.data.cutmix import CutMix, Partners, mix
from study.data.pairs import Pairs, pairs_table
from study.data.preprocessing import Preprocessing

Kind: TypeAlias = Literal["same_label", "standard"]
Box: TypeAlias = Literal["shared", "per_eye"]

CPU = torch.device("cpu")
LABELS = [
    [1, 0, 0],
    [0, 1, 0],
    [1, 0, 0],
    [0, 1, 1],
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
    [1, 0, 0],
    [0, 1, 0],
    [1, 0, 0],
]
TRAIN, OTHERS = np.array([7, 0, 3, 5, 2, 6, 1]), np.array([4, 8, 9])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    """Ten pairs whose pixels say where they come from.

    Red is 20 · sample + 10, green 100 for the left eye and 200 for the right.
    """

    def load(key: str) -> UInt8[np.ndarray, "h w 3"]:
        sample, eye = key.split("-")
        image = np.zeros((16, 16, 3), dtype=np.uint8)
        image[...] = (20 * int(sample) + 10, 100 if eye == "left" else 200, 50)
        return image

    targets = np.array(LABELS, dtype=np.int8)
    views = np.stack([targets, targets[:, ::-1]], axis=1)
    views[3, 1] = -1
    names = [str(i) for i in range(10)]
    pairs = Pairs(
        dataset="marked",
        labels=("a", "b", "c"),
        kind="multilabel",
        num_views=2,
        table=pairs_table(names, names, [f"{n}-left" for n in names], [f"{n}-right" for n in names]),
        targets=targets,
        view_targets=views,
        synthetic=True,
        root="",
        fingerprint="marked",
        load=load,
    )
    return ImageCache.build(pairs, Preprocessing(image_px=16, crop="none"), tmp_path_factory.mktemp("cache"))


def epochs(
    cache: ImageCache, cutmix: CutMix, num: int = 6, rows: Int[np.ndarray, " n"] = TRAIN, **settings: Any
) -> Iterator[Batch]:
    """The batches of several epochs."""
    settings = {"order": "shuffle", **settings}
    loader = Batches(cache, rows, batch_size=4, device=CPU, normalise="half", cutmix=cutmix, **settings)
    for epoch in range(num):
        loader.set_epoch(epoch)
        yield from loader


def origins(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sample and eye that each pixel comes from, read from its colour."""
    levels = ((images * 0.5 + 0.5) * 255).round().long()
    return (levels[:, :, 0] - 10) // 20, levels[:, :, 1] // 100 - 1


@pytest.mark.parametrize("kind", ["same_label", "standard"])
@pytest.mark.parametrize("box", ["shared", "per_eye"])
@pytest.mark.parametrize("order", ["shuffle", "given"])
def test_no_pixel_of_a_validation_or_test_image_is_ever_seen(
    cache: ImageCache, kind: Kind, box: Box, order: str
) -> None:
    seen = set()
    for batch in epochs(cache, CutMix(kind, 1.0, box), 30, order=order, augmentation=Augmentation(flip=True)):
        sample, _ = origins(batch.images)
        seen |= set(sample.unique().tolist())
    assert seen == set(TRAIN.tolist())
    assert not seen & set(OTHERS.tolist())


def test_same_label_pastes_the_same_side_of_a_sample_with_the_same_labels(cache: ImageCache) -> None:
    changed = set()
    for batch in epochs(cache, CutMix("same_label", 1.0), 20):
        sample, eye = origins(batch.images)
        assert (eye == torch.arange(2)[None, :, None, None]).all()
        assert torch.equal(batch.targets, torch.from_numpy(cache.pairs.targets[batch.rows]).float())
        for i, row in enumerate(batch.rows.tolist()):
            others = set(sample[i].unique().tolist()) - {row}
            assert len(others) <= 1
            assert all(LABELS[other] == LABELS[row] for other in others)
            changed |= {row} if others else set()
    assert changed == {0, 1, 2, 5, 7}  # 3 and 6 carry label sets of their own


@pytest.mark.parametrize("box", ["shared", "per_eye"])
def test_labels_follow_the_area_of_the_pixels(cache: ImageCache, box: Box) -> None:
    shares = set()
    for batch in epochs(cache, CutMix("standard", 1.0, box), 8):
        sample, _ = origins(batch.images)
        for i, row in enumerate(batch.rows.tolist()):
            pixels = sample[i].flatten(1)
            assert len(pixels.unique()) <= 2
            other = next((s for s in pixels.unique().tolist() if s != row), row)
            shares.add(round(float((pixels != row).float().mean()), 3))
            share = (pixels == other).float().mean(dim=1) if other != row else torch.zeros(2)
            own, theirs = (torch.tensor(LABELS[s]).float() for s in (row, other))
            assert torch.allclose(batch.targets[i], own + share.mean() * (theirs - own), atol=1e-5)
            for view, target in enumerate(batch.view_targets[i]):
                own, theirs = torch.from_numpy(cache.pairs.view_targets[[row, other], view]).float()
                if (own < 0).any() or (theirs < 0).any():
                    assert (target == -1).all()
                elif other != row:
                    assert torch.allclose(target, own + share[view] * (theirs - own), atol=1e-5)
            same = torch.equal(sample[i, 0], sample[i, 1])
            assert same or box == "per_eye"
    assert len(shares) > 10


def test_per_eye_boxes_differ_between_the_eyes(cache: ImageCache) -> None:
    found = [origins(batch.images)[0] for batch in epochs(cache, CutMix("standard", 1.0, "per_eye"), 3)]
    assert any(not torch.equal(eyes[0], eyes[1]) for sample in found for eyes in sample)


@pytest.mark.parametrize("kind", ["same_label", "standard"])
def test_same_seed_and_epoch_same_batches(cache: ImageCache, kind: Kind) -> None:
    def whole(seed: int) -> list[Tensor]:
        augmentation = Augmentation(flip=True, rotate_deg=20.0, crop=0.5)
        batches = epochs(cache, CutMix(kind, 0.7), 2, seed=seed, augmentation=augmentation)
        return [torch.cat(parts) for parts in zip(*batches, strict=True)]

    first, again, other = whole(0), whole(0), whole(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_ranks_mix_with_the_whole_training_split_and_see_the_samples_of_one_process(
    cache: ImageCache,
) -> None:
    cutmix = CutMix("standard", 1.0)

    def rows(world_size: int) -> list[int]:
        shards = [epochs(cache, cutmix, 1, rank=rank, world_size=world_size) for rank in range(world_size)]
        batches = [batch for shard in shards for batch in shard]
        return torch.cat([batch.rows for batch in batches]).tolist()

    assert sorted(rows(1)) == sorted(rows(2)) == sorted(TRAIN.tolist())
    own, seen = set(), set()
    for batch in epochs(cache, cutmix, 40, rank=1, world_size=2, order="given"):
        own |= set(batch.rows.tolist())
        seen |= set(origins(batch.images)[0].unique().tolist())
    assert own == set(TRAIN[1::2].tolist())
    assert seen == set(TRAIN.tolist())


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_share_of_the_samples_is_changed(probability: float) -> None:
    rows = np.arange(400)
    chosen, partners = Partners(rows, np.zeros(400, dtype=np.int64)).draw(rows, probability, seeded())
    assert len(chosen) / 400 == pytest.approx(probability, abs=0.07)
    assert (rows[chosen] != partners).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 5))
def test_a_partner_is_another_sample_of_the_group(groups: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(40)[: len(groups)]
    group_of = dict(zip(rows.tolist(), groups, strict=True))
    chosen, partners = Partners(rows, np.array(groups)).draw(rows, 1.0, seeded(seed))
    alone = {row for row, group in group_of.items() if groups.count(group) == 1}
    assert set(rows.tolist()) - set(rows[chosen].tolist()) == alone
    for row, partner in zip(rows[chosen].tolist(), partners.tolist(), strict=True):
        assert partner != row
        assert group_of[partner] == group_of[row]


def test_partners_are_drawn_evenly() -> None:
    rows = np.array([10, 3, 8, 5])
    partners = Partners(rows, np.array([0, 0, 0, 1]))
    drawn = np.concatenate([partners.draw(np.array([3]), 1.0, seeded(s))[1] for s in range(400)])
    assert {10, 8} == set(drawn.tolist())
    assert (drawn == 8).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("box", ["shared", "per_eye"])
def test_boxes_are_those_of_the_formula(box: Box) -> None:
    num, views, height, width = 300, 2, 40, 30
    found = CutMix("standard", box=box).boxes(torch.zeros(num, views, 3, height, width), seeded())
    generator = seeded()
    side = (1 - torch.rand(num, views if box == "per_eye" else 1, generator=generator)).sqrt()
    y, x = (torch.randint(pixels, side.shape, generator=generator) for pixels in (height, width))
    for i in range(num):
        for view in range(views):
            k = view if box == "per_eye" else 0
            h, w = (int(pixels * side[i, k]) for pixels in (height, width))
            top, left = max(0, int(y[i, k]) - h // 2), max(0, int(x[i, k]) - w // 2)
            expected = torch.zeros(height, width, dtype=torch.bool)
            expected[top : int(y[i, k]) + h // 2, left : int(x[i, k]) + w // 2] = True
            assert torch.equal(found[i, view], expected)
    assert found.float().mean() == pytest.approx(0.36, abs=0.08)  # half of the area, less what is cut off


def test_labels_that_are_equal_stay_as_they_are_to_the_bit() -> None:
    own, other = torch.tensor([0.0, 1.0, -1.0, 1.0]), torch.tensor([1.0, -1.0, 0.0, 0.0])
    assert mix(own, own, torch.full((4,), 0.3)).tolist() == own.tolist()
    assert mix(own, other, torch.full((4,), 0.25)).tolist() == [0.25, -1.0, -1.0, 0.75]
