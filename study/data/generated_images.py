"""A training side with generated images beside the real ones, or in their place.

Source: SVK_MA (Tan et al. 2023), data set D3, for which a DCGAN made the training images.
Differs: the paper's generator saw all images, those of the test too; ours sees the training split. With share 1 as many
images of a class are made as it has real ones; the paper's number is not known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from study.data.build_once import build_once
from study.data.cache import IMAGES, ImageCache
from study.data.generator_training import CHUNK, SHEET, Sources, load_generators, made, train_generators
from study.data.pairs import Loader, Pairs, digest, one_hot, pairs_table
from study.spec.data_section import GeneratedSpec
from study.spec.errors import SpecError

FEWEST = 2  # real images of a class: batch norm needs two


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The training samples of a trial, some or all of them generated.

    Attributes:
        images: the real samples where they are kept, then the generated ones, each a patient of its own.
        generated: whether each sample is generated.
        sheet: picture of real images (odd rows) and generated ones (even rows) of each class.
    """

    images: ImageCache
    generated: Bool[np.ndarray, " n"]
    sheet: Path

    def counts(self) -> dict[str, int]:
        """How many images of each label are generated."""
        pairs = self.images.pairs
        return {
            label: int(n)
            for label, n in zip(pairs.labels, pairs.targets[self.generated].sum(axis=0), strict=True)
        }


def check_generated(pairs: Pairs, rows: Int[np.ndarray, " n"]) -> None:
    """Refuses data of which no generator can make samples.

    Args:
        pairs: the real samples.
        rows: positions of those of the training split.

    Raises:
        SpecError: samples are pairs, may carry several labels, or a class has too few training images.
    """
    if pairs.num_views != 1:
        raise SpecError(
            "`data.generated`: must be null where a sample is a pair of eyes, since two generated images are of no common patient. "
            "Leave it out, or make each eye a sample with `data.unit: eye`."
        )
    if pairs.kind == "multilabel":
        raise SpecError(
            "`data.generated`: must be null where a sample may carry several labels, since each class has a generator of its own. "
            "Leave it out, or take a data set of classes or grades."
        )
    counts = pairs.targets[rows].sum(axis=0)
    few = [f"{int(n)} of {label}" for label, n in zip(pairs.labels, counts, strict=True) if n < FEWEST]
    if few:
        raise SpecError(
            f"`data.generated`: needs at least {FEWEST} training images of each class, got {', '.join(few)}. Leave it out."
        )


def training_images(
    images: ImageCache,
    rows: Int[np.ndarray, " n"],
    split_hash: str,
    wanted: GeneratedSpec,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingImages:
    """The training samples with generated ones, which are made where they are not there yet.

    Args:
        images: the real images, of all splits.
        rows: positions of the training samples; no other image is looked at.
        split_hash: of the split that `rows` come from.
        wanted: generator, share, epochs and seed.
        device: where generators are trained.
        progress: called with epochs done and their total, over all classes, while generators are trained.

    Raises:
        SpecError: as `check_generated`, or an argument of the generator is out of its range.
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
    build_once(
        home,
        IMAGES,
        lambda folder: _write(folder / IMAGES, shape, _blocks(sources, kept, numbers, trained, wanted)),
    )
    pairs = _pairs(images.pairs, kept, numbers, home)
    rows_of_file = np.arange(len(pairs))[:, None]
    side = replace(images, folder=home, pairs=pairs, index=rows_of_file, bad={}, source=pairs.fingerprint)
    return TrainingImages(side, np.arange(len(pairs)) >= len(kept), trained / SHEET)


def _blocks(
    sources: Sources,
    kept: Int[np.ndarray, " n"],
    numbers: Int[np.ndarray, " l"],
    trained: Path,
    wanted: GeneratedSpec,
) -> Iterator[UInt8[np.ndarray, "k px px 3"]]:
    """The pixels of the real samples that are kept, then those of each class's generator, some at a time."""
    for start in range(0, len(kept), CHUNK):
        yield sources.pixels(kept[start : start + CHUNK])
    for number, net in enumerate(load_generators(trained, wanted, len(numbers))):
        yield from made(net, int(numbers[number]), wanted, number, sources.images.images.shape[1])


def _write(file: Path, shape: tuple[int, ...], blocks: Iterator[UInt8[np.ndarray, "k px px 3"]]) -> None:
    """The blocks as one array of numpy's format; a stream, since a full disk would end a process that writes to a memory map."""
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)


def _pairs(pairs: Pairs, kept: Int[np.ndarray, " n"], numbers: Int[np.ndarray, " l"], home: Path) -> Pairs:
    """The real samples that are kept, then the generated ones of each class."""
    real, targets = pairs.table.iloc[kept], one_hot(np.repeat(np.arange(len(numbers)), numbers), len(numbers))
    names = [
        f"generated-{label}-{i:05d}"
        for label, number in zip(pairs.labels, numbers, strict=True)
        for i in range(number)
    ]
    keys = [f"generated:{row}" for row in range(len(kept), len(kept) + len(names))]
    return replace(
        pairs,
        table=pairs_table(
            [*real["sample"], *names],
            [*real["patient"], *names],
            [*real["left"], *keys],
            [None] * (len(real) + len(names)),
            [*real["age"], *[np.nan] * len(names)],
            [*real["sex"], *[""] * len(names)],
        ),
        targets=np.concatenate([pairs.targets[kept], targets]),
        view_targets=np.concatenate([pairs.view_targets[kept], targets[:, None]]),
        fingerprint=digest(pairs.fingerprint, home.name),
        skipped={},
        load=_Load(pairs.load, home),
    )


@dataclass(frozen=True)
class _Load:
    """Gives the image of a real key, or of `generated:ROW` as it was made."""

    real: Loader
    home: Path

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        kind, _, row = key.partition(":")
        return (
            np.array(np.load(self.home / IMAGES, mmap_mode="r")[int(row)])
            if kind == "generated"
            else self.real(key)
        )
