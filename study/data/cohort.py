"""The samples of a study as a trial sees them: pixels, labels, and who is in which split."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int, Int8

from study.data.audit import duplicate_groups
from study.data.cache import ImageCache
from study.data.generated_images import TrainingImages, training_images
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.source import open_dataset
from study.data.split import SPLITS, make_split, read_split
from study.spec.components import Component
from study.spec.data_section import DataSpec, GeneratedSpec


@dataclass(frozen=True, eq=False)
class SplitImages:
    """The samples of a split as networks meet them.

    Attributes:
        images: pixels and labels.
        rows: positions of the samples in `images.pairs`.
        generated: whether each is generated.
    """

    images: ImageCache
    rows: Int[np.ndarray, " n"]
    generated: Bool[np.ndarray, " n"]

    @property
    def targets(self) -> Int8[np.ndarray, "n l"]:
        """Labels, 0 or 1."""
        targets: Int8[np.ndarray, "n l"] = self.images.pairs.targets[self.rows]
        return targets

    def names(self) -> tuple[list[str], list[str]]:
        """Sample and patient of each."""
        table = self.images.pairs.table.iloc[self.rows]
        return table["sample"].tolist(), table["patient"].tolist()


@dataclass(frozen=True, eq=False)
class Cohort:
    """Usable samples and their split.

    Attributes:
        cache: pixels and labels of the real samples.
        assignment: sample, patient and split of each real sample, in the order of the cache.
        training: stands in for the training split where samples are generated; assignment, counts and hash know nothing of it.
    """

    cache: ImageCache
    assignment: pd.DataFrame
    training: TrainingImages | None = None

    @property
    def pairs(self) -> Pairs:
        """The samples."""
        return self.cache.pairs

    def rows(self, split: str) -> Int[np.ndarray, " n"]:
        """Positions of the real samples of a split."""
        return np.flatnonzero((self.assignment["split"] == split).to_numpy())

    def images_of(self, split: str) -> SplitImages:
        """The samples of a split, generated ones among those of the training."""
        if split == "train" and self.training is not None:
            generated = self.training.generated
            return SplitImages(self.training.images, np.arange(len(generated)), generated)
        rows = self.rows(split)
        return SplitImages(self.cache, rows, np.zeros(len(rows), dtype=bool))

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 over samples and their splits."""
        return hashlib.sha256(self.assignment[["sample", "split"]].to_csv(index=False).encode()).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Real patients, samples and samples with each label, by split."""
        table = {}
        for split in SPLITS:
            rows = self.rows(split)
            labels = dict(
                zip(self.pairs.labels, (int(n) for n in self.pairs.targets[rows].sum(axis=0)), strict=True)
            )
            table[split] = {
                "patients": int(self.assignment["patient"].iloc[rows].nunique()),
                "samples": len(rows),
                **labels,
            }
        return table


def open_cohort(data: DataSpec, cache: Path, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Reads the data set, decodes what is not yet decoded, and splits by patient, those entered twice as one.

    Args:
        data: the data part of a trial.
        cache: folder of all image caches.
        progress: called with images done and their total while decoding.

    Raises:
        DataError: the data set, an image or the split is wrong.
        StorageError: the cache cannot be written.
    """
    pairs = _pairs(data.dataset.model_dump_json(), data.root, data.phantom_patients, data.unit)
    images = open_images(data, pairs, cache, progress)
    split = data.split
    if split.file is not None:
        return Cohort(images, read_split(split.file, images.pairs))
    groups = duplicate_groups(images) if split.group_duplicates else None
    assignment = make_split(
        images.pairs,
        val=split.val,
        test=split.test,
        seed=split.seed,
        folds=split.folds,
        fold=split.fold,
        groups=groups,
    )
    return Cohort(images, assignment)


def with_generated_images(
    cohort: Cohort,
    wanted: GeneratedSpec | None,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Cohort:
    """The cohort with generated training samples, or as it is where none are wanted; arguments and errors as in `training_images`."""
    if wanted is None:
        return cohort
    return replace(
        cohort,
        training=training_images(
            cohort.cache, cohort.rows("train"), cohort.split_hash, wanted, device, progress
        ),
    )


def open_images(
    data: DataSpec, pairs: Pairs, cache: Path, progress: Callable[[int, int], None] | None = None
) -> ImageCache:
    """The pixels of these pairs under the image settings of a trial; arguments and errors as in `open_cohort`."""
    return ImageCache.build(
        pairs,
        Preprocessing.of(data),
        cache,
        missing_eye=data.missing_eye,
        on_bad_image=data.on_bad_image,
        progress=progress,
    )


@lru_cache(maxsize=2)
def _pairs(dataset: str, root: Path | None, phantom_patients: int, unit: Literal["pair", "eye"]) -> Pairs:
    """A trial process asks for the same data set again for each trial, and reading a sheet takes a second."""
    return open_dataset(
        Component.model_validate_json(dataset), root, num_patients=phantom_patients, unit=unit
    )
