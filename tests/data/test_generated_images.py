"""Generated training samples: what generators see, what is made, and what stays as it was."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.generators.dcgan import Dcgan
from study.data.cache import ImageCache
from study.data.generated_images import TrainingImages, check_generated, training_images
from study.data.generator_training import TRAINED_ON
from study.data.pairs import Pairs, one_hot, pairs_table
from study.data.preprocessing import Preprocessing
from study.spec.components import Component
from study.spec.data_section import GeneratedSpec
from study.spec.errors import DataError, SpecError

torch.set_num_threads(1)
CPU = torch.device("cpu")
PX = 64  # the generator's own size, so that it sees pixels as they are stored
NUM, TRAINING = 20, np.arange(12)  # samples 0 to 11 train, the others validate and test
MARKER = 255


def draw(key: str) -> np.ndarray:
    """A picture of its own for each sample; the corner of one that is not for training is marked."""
    number = int(key)
    image = np.random.default_rng(number).integers(20, 200, (PX, PX, 3)).astype(np.uint8)
    if number not in TRAINING:
        image[:4, :4] = MARKER
    return image


@pytest.fixture
def images(tmp_path: Path) -> ImageCache:
    names = [str(i) for i in range(NUM)]
    targets = one_hot(np.arange(NUM) % 3 // 2, 2)  # the first class has twice as many
    pairs = Pairs(
        dataset="drawn",
        labels=("dots", "membrane"),
        kind="classes",
        num_views=1,
        table=pairs_table(names, names, names, [None] * NUM),
        targets=targets,
        view_targets=targets[:, None],
        synthetic=False,
        root="",
        fingerprint="drawn",
        load=draw,
    )
    return ImageCache.build(pairs, Preprocessing(image_px=PX, crop="none"), tmp_path / "cache")


def wanted(**changes: Any) -> GeneratedSpec:
    dcgan = Component(name="dcgan", args={"latent": 4, "width": 2})
    return GeneratedSpec(**{"generator": dcgan, "epochs": 1, **changes})


def with_generated(images: ImageCache, split_hash: str = "split", **changes: Any) -> TrainingImages:
    return training_images(images, TRAINING, split_hash, wanted(**changes), CPU)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What each generator's training is given, instead of the training."""
    batches: list[torch.Tensor] = []

    def watch(self: Dcgan, images: torch.Tensor, *, epochs: int, seed: int) -> Iterator[tuple[float, float]]:
        batches.append(images)
        yield 0.0, 0.0

    monkeypatch.setattr(Dcgan, "train_on", watch)
    return batches


def test_generators_see_every_training_image_of_their_class_and_no_other(
    images: ImageCache, seen: list[torch.Tensor]
) -> None:
    training = with_generated(images)
    classes = images.pairs.targets.argmax(axis=1)
    assert [len(batch) for batch in seen] == [8, 4]
    for number, batch in enumerate(seen):
        pixels = ((batch + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        assert (pixels[:, 0, 0] == MARKER).sum() == 0
        assert np.array_equal(pixels, np.stack([draw(str(i)) for i in TRAINING if classes[i] == number]))
    noted = json.loads((training.sheet.parent / TRAINED_ON).read_text())
    assert sorted(int(s) for label in noted.values() for s in label["samples"]) == TRAINING.tolist()


def test_the_marker_would_be_found(images: ImageCache, seen: list[torch.Tensor]) -> None:
    training_images(images, np.arange(NUM), "all", wanted(), CPU)
    assert sum(len(batch) for batch in seen) == NUM
    assert sum(int((batch[:, :, 0, 0] == 1).all(dim=1).sum()) for batch in seen) == NUM - len(TRAINING)


def test_with_share_one_only_generated_images_train_as_many_as_there_are_real_ones(
    images: ImageCache,
) -> None:
    training = with_generated(images)
    pairs = training.images.pairs
    assert training.generated.all()
    assert training.counts() == {"dots": 8, "membrane": 4}
    assert pairs.table["sample"].iloc[[0, 7, 8]].tolist() == [
        "generated-dots-00000",
        "generated-dots-00007",
        "generated-membrane-00000",
    ]
    assert pairs.table["patient"].tolist() == pairs.table["sample"].tolist()
    assert pairs.targets.sum(axis=0).tolist() == [8, 4]
    assert np.array_equal(pairs.view_targets[:, 0], pairs.targets)
    assert training.images.images.shape == (12, PX, PX, 3)
    assert not training.images.images.flags.writeable


@pytest.mark.parametrize(("share", "numbers"), [(0.25, [3, 1]), (0.5, [8, 4]), (0.75, [24, 12])])
def test_below_one_the_real_samples_stay_and_the_share_is_kept(
    images: ImageCache, share: float, numbers: list[int]
) -> None:
    training = with_generated(images, share=share)
    real = training.images.pairs.table[~training.generated]
    assert real["sample"].tolist() == [str(i) for i in TRAINING]
    assert list(training.counts().values()) == numbers
    assert training.generated.mean() == pytest.approx(share, abs=0.01)
    kept = training.images.images[training.images.index[~training.generated, 0]]
    assert np.array_equal(kept, np.stack([draw(str(i)) for i in TRAINING]))
    assert np.array_equal(training.images.pairs.targets[~training.generated], images.pairs.targets[TRAINING])


def test_keys_of_samples_load_their_own_images(images: ImageCache) -> None:
    training = with_generated(images, share=0.5)
    for row in (0, 11, 12, 23):
        key = training.images.pairs.table["left"].iloc[row]
        assert np.array_equal(training.images.pairs.load(key), training.images.images[row])


def test_the_same_seed_makes_the_same_images(images: ImageCache) -> None:
    first = np.array(with_generated(images, epochs=2).images.images)
    random = torch.get_rng_state()
    for folder in images.folder.parent.glob("generat*"):
        shutil.rmtree(folder)
    assert np.array_equal(np.array(with_generated(images, epochs=2).images.images), first)
    assert torch.equal(torch.get_rng_state(), random)
    assert not np.array_equal(with_generated(images, epochs=2, seed=1).images.images, first)
    assert not np.array_equal(with_generated(images, epochs=3).images.images, first)
    assert not np.array_equal(first[0], first[1])


def test_generators_are_trained_once_for_all_shares(
    images: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = with_generated(images)

    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Dcgan, "train_on", again)
    assert with_generated(images).images.folder == whole.images.folder
    half = with_generated(images, share=0.5)
    assert np.array_equal(half.images.images[12:], whole.images.images)
    assert half.sheet == whole.sheet
    for other in ({"epochs": 2}, {"seed": 1}, {"split_hash": "other"}):
        with pytest.raises(AssertionError, match="trained again"):
            with_generated(images, **other)


def test_of_two_at_once_one_trains_and_the_other_waits(images: ImageCache) -> None:
    said: list[tuple[int, int]] = []
    start = threading.Barrier(2)

    def want(_: int) -> TrainingImages:
        start.wait()
        return training_images(images, TRAINING, "split", wanted(), CPU, lambda *at: said.append(at))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(want, range(2))
    assert first.images.folder == second.images.folder
    assert said == [(1, 2), (2, 2)]
    assert sorted(path.name for path in images.folder.parent.iterdir()) == sorted(
        path.name for path in (images.folder, first.sheet.parent, first.images.folder)
    )


def test_the_sheet_shows_real_above_generated_images(images: ImageCache) -> None:
    training = with_generated(images)
    sheet = np.asarray(Image.open(training.sheet))
    assert sheet.shape == (4 * PX, 8 * PX, 3)
    assert np.array_equal(sheet[:PX, :PX], draw("0"))
    assert np.array_equal(sheet[PX : 2 * PX, :PX], training.images.images[0])
    assert np.array_equal(sheet[2 * PX : 3 * PX, :PX], draw("2"))
    assert sheet[2 * PX : 3 * PX, 4 * PX :].sum() == 0  # the class has four images
    assert np.array_equal(sheet[3 * PX :, :PX], training.images.images[8])


def test_progress_counts_the_epochs_of_all_classes(images: ImageCache) -> None:
    said: list[tuple[int, int]] = []
    training_images(images, TRAINING, "split", wanted(epochs=2), CPU, lambda *at: said.append(at))
    assert said == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_data_of_which_no_samples_can_be_made_are_refused(
    images: ImageCache, make_pairs: Callable[..., Pairs]
) -> None:
    eyes = make_pairs(np.eye(2)[[0, 1, 0, 1]], kind="classes")
    with pytest.raises(SpecError, match=r"must be null where a sample is a pair of eyes.*data\.unit: eye"):
        check_generated(eyes, np.arange(4))
    table = pairs_table(["a"], ["a"], ["a"], [None])
    single = {"num_views": 1, "table": table, "view_targets": np.ones((1, 1, 2), np.int8)}
    with pytest.raises(SpecError, match="several labels"):
        check_generated(make_pairs([[1, 1]], **single), np.arange(1))
    with pytest.raises(SpecError, match="at least 2 training images of each class, got 1 of membrane"):
        check_generated(images.pairs, np.arange(3))


def test_an_argument_out_of_its_range_is_an_error(images: ImageCache) -> None:
    with pytest.raises(
        SpecError, match=r"`data\.generated\.generator`: `dcgan`: latent and width must be at least 1"
    ):
        with_generated(images, generator=Component(name="dcgan", args={"width": 0}))


def test_a_generator_that_diverges_is_an_error(images: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dcgan, "train_on", lambda *_, **__: iter([(float("nan"), 1.0)]))
    with pytest.raises(DataError, match="generator of dots must stay finite"):
        with_generated(images)
    assert not list(images.folder.parent.glob("generator-*"))
