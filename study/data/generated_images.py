"""A training split with generated images beside the real ones, or in their place.

Source: SVK_MA (Tan et al. 2023), data set D3, for which a DCGAN made the training images.
Differs: the paper's generator saw all images, those of the test, too; ours sees the training split alone.
With share 1 as many images of a class are generated as it has real ones; the paper's number is not known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from study.data.build_once import build_once
from study.data.cache import IMAGES, ImageCache
from study.data.generator_training import (
    CONTACT_SHEET,
    IMAGES_AT_A_TIME,
    Sources,
    generate,
    load_generators,
    train_generators,
)
from study.data.pairs import Loader, Pairs, digest, one_hot, pairs_table
from study.spec.data_section import GeneratedSpec
from study.spec.errors import SpecError

MIN_REAL_IMAGES = 2  # of a class: batch norm needs two
GENERATED = "generated"  # how the names and keys of generated samples begin


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The training samples of a trial, some or all of them generated.

    Attributes:
        images: The real samples where they are kept, then the generated ones, each a patient of its own.
        generated: Whether each sample is generated.
        sheet: File of a picture with real images (odd rows) and generated ones (even rows) of each class.
    """

    images: ImageCache
    generated: Bool[np.ndarray, " n"]
    sheet: Path

    def counts(self) -> dict[str, int]:
        """How many images of each label are generated."""
        pairs = self.images.pairs
        numbers = pairs.targets[self.generated].sum(axis=0).tolist()
        return dict(zip(pairs.labels, numbers, strict=True))


def check_generated(pairs: Pairs, rows: Int[np.ndarray, " n"]) -> None:
    """Refuses data of which no generator can make samples.

    Args:
        pairs: The real samples.
        rows: Positions of those in the training split.

    Raises:
        SpecError: samples are pairs, samples may carry several labels, or a class has too few training
            images.
    """
    if pairs.num_views != 1:
        raise SpecError(
            "`data.generated`: must be null where a sample is a pair of eyes, "
            "since two generated images are of no common patient. "
            "Leave it out, or make each eye a sample with `data.unit: eye`."
        )
    if pairs.kind == "multilabel":
        raise SpecError(
            "`data.generated`: must be null where a sample may carry several labels, "
            "since each class has a generator of its own. "
            "Leave it out, or take a data set of classes or grades."
        )
    counts = zip(pairs.labels, pairs.targets[rows].sum(axis=0), strict=True)
    few = [f"{int(count)} of {label}" for label, count in counts if count < MIN_REAL_IMAGES]
    if few:
        raise SpecError(
            f"`data.generated`: needs at least {MIN_REAL_IMAGES} training images of each class, "
            f"got {', '.join(few)}. Leave it out."
        )


def training_images(
    images: ImageCache,
    rows: Int[np.ndarray, " n"],
    split_hash: str,
    wanted: GeneratedSpec,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingImages:
    """The training samples with generated ones; generators are trained and applied where it is not yet done.

    Args:
        images: The real images, of all splits.
        rows: Positions of the training samples; no other image is looked at.
        split_hash: Hash of the split that `rows` come from.
        wanted: Generator, share, epochs and seed.
        device: Where generators are trained.
        progress: Called with the number of epochs done and their total, over all classes, during training.

    Raises:
        SpecError: `check_generated` refuses the data, or an argument of the generator is out of its range.
        DataError: a generator's loss became infinite.
        StorageError: the folder of the caches cannot be written.
    """
    check_generated(images.pairs, rows)
    sources = Sources(images, rows, images.pairs.targets[rows].argmax(axis=1), split_hash)
    kept, numbers = rows[:0], np.bincount(sources.classes, minlength=len(images.pairs.labels))
    if wanted.share < 1:
        kept, numbers = rows, np.rint(numbers * wanted.share / (1 - wanted.share)).astype(np.int64)
    trained = train_generators(sources, wanted, device, progress)
    home = trained.parent / f"generated-{digest(trained.name, wanted.share)[:20]}"
    shape = (len(kept) + int(numbers.sum()), *images.images.shape[1:])

    def fill(folder: Path) -> None:
        _write(folder / IMAGES, shape, _blocks(sources, kept, numbers, trained, wanted))

    build_once(home, IMAGES, fill)
    pairs = _pairs(images.pairs, kept, numbers, home)
    index = np.arange(len(pairs))[:, None]
    training = replace(images, folder=home, pairs=pairs, index=index, bad={}, source=pairs.fingerprint)
    return TrainingImages(training, np.arange(len(pairs)) >= len(kept), trained / CONTACT_SHEET)


def _blocks(
    sources: Sources,
    kept: Int[np.ndarray, " n"],
    numbers: Int[np.ndarray, " l"],
    trained: Path,
    wanted: GeneratedSpec,
) -> Iterator[UInt8[np.ndarray, "k px px 3"]]:
    """The pixels of the real samples that are kept, then of those of each class's generator, in blocks."""
    for start in range(0, len(kept), IMAGES_AT_A_TIME):
        yield sources.pixels(kept[start : start + IMAGES_AT_A_TIME])
    for number, net in enumerate(load_generators(trained, wanted, len(numbers))):
        yield from generate(net, int(numbers[number]), wanted, number, sources.image_px)


def _write(file: Path, shape: tuple[int, ...], blocks: Iterator[UInt8[np.ndarray, "k px px 3"]]) -> None:
    """Writes the blocks as one array in numpy's format.

    It writes to a stream, since a full disk would end a process that writes to a memory map.
    """
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)


def _pairs(pairs: Pairs, kept: Int[np.ndarray, " n"], numbers: Int[np.ndarray, " l"], home: Path) -> Pairs:
    """The real samples that are kept, then the generated ones of each class."""
    real = pairs.table.iloc[kept]
    targets = one_hot(np.repeat(np.arange(len(numbers)), numbers), len(numbers))
    names = [
        f"{GENERATED}-{label}-{i:05d}"
        for label, number in zip(pairs.labels, numbers, strict=True)
        for i in range(number)
    ]
    keys = [f"{GENERATED}:{row}" for row in range(len(kept), len(kept) + len(names))]
    table = pairs_table(
        sample=[*real["sample"], *names],
        patient=[*real["patient"], *names],
        left=[*real["left"], *keys],
        right=[None] * (len(real) + len(names)),
        age=[*real["age"], *[np.nan] * len(names)],
        sex=[*real["sex"], *[""] * len(names)],
    )
    return replace(
        pairs,
        table=table,
        targets=np.concatenate([pairs.targets[kept], targets]),
        view_targets=np.concatenate([pairs.view_targets[kept], targets[:, None]]),
        fingerprint=digest(pairs.fingerprint, home.name),
        skipped={},
        load=_TrainingLoader(pairs.load, home),
    )


@dataclass(frozen=True)
class _TrainingLoader:
    """Loads the image of a real sample by its key, or a generated one by the key `generated:ROW`."""

    real: Loader
    home: Path

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        kind, _, row = key.partition(":")
        if kind != GENERATED:
            return self.real(key)
        return np.array(np.load(self.home / IMAGES, mmap_mode="r")[int(row)])
