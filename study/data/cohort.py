"""The samples of a study as a trial sees them: pixels, labels, and which split each sample is in."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int, Int8

from study.data.audit import duplicate_groups
from study.data.cache import ImageCache
from study.data.generated_images import TrainingImages, training_images
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.source import open_dataset, roots
from study.data.split import SPLITS, make_split, read_split
from study.spec.data_section import DataSpec, GeneratedSpec


@dataclass(frozen=True, eq=False)
class SplitImages:
    """The samples of a split as networks see them.

    Attributes:
        images: Pixels and labels.
        rows: Positions of the samples in `images.pairs`.
        generated: Whether each sample is generated.
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
        """The names of the samples, and those of their patients."""
        table = self.images.pairs.table.iloc[self.rows]
        return table["sample"].tolist(), table["patient"].tolist()


@dataclass(frozen=True, eq=False)
class Cohort:
    """Usable samples and their split.

    Attributes:
        cache: Pixels and labels of the real samples.
        assignment: Sample, patient and split of each real sample, in the order of the cache.
        training: What networks are trained on in place of the training split, where samples are generated. It
            does not change the assignment, the counts and the hash.
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
        return self._rows[split]

    @cached_property
    def _rows(self) -> dict[str, Int[np.ndarray, " n"]]:
        """The positions by split; a trial asks for them some twenty times."""
        return {split: np.flatnonzero((self.assignment["split"] == split).to_numpy()) for split in SPLITS}

    def images_of(self, split: str) -> SplitImages:
        """The samples of a split; those of the training split may be generated."""
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
        counts = {}
        for split in SPLITS:
            rows = self.rows(split)
            num_patients = int(self.assignment["patient"].iloc[rows].nunique())
            with_label = (int(num) for num in self.pairs.targets[rows].sum(axis=0))
            counts[split] = {"patients": num_patients, "samples": len(rows)}
            counts[split] |= zip(self.pairs.labels, with_label, strict=True)
        return counts


def open_cohort(data: DataSpec, cache: Path, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Reads the data set, decodes what is not yet decoded, and splits by patient.

    A patient that was entered twice counts as one, unless the study turns that off.

    Args:
        data: The data part of a trial.
        cache: Folder of all image caches.
        progress: Called with the number of images done and their total while decoding.

    Raises:
        DataError: the data set, an image or the split is wrong.
        StorageError: the cache cannot be written.
    """
    pairs = _open_dataset_once(data, cache, progress)
    images = open_images(data, pairs, cache, progress)
    split = data.split
    if split.file is not None:
        return Cohort(images, read_split(split.file, images.pairs))
    key = images.folder, images.pairs.fingerprint, split.model_dump_json()
    known = _COHORTS.get(key)
    if known is None or known.cache is not images:
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
        _COHORTS[key] = known = Cohort(images, assignment)
    return known


# The process of a trial splits the same images for each trial, which takes longer than a short training.
_COHORTS: dict[tuple[Path, str, str], Cohort] = {}


def with_generated_images(
    cohort: Cohort,
    wanted: GeneratedSpec | None,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Cohort:
    """The cohort with generated training samples, or as it is where none are wanted.

    The arguments and errors are those of `training_images`.
    """
    if wanted is None:
        return cohort
    rows = cohort.rows("train")
    training = training_images(cohort.cache, rows, cohort.split_hash, wanted, device, progress)
    return replace(cohort, training=training)


def open_images(
    data: DataSpec, pairs: Pairs, cache: Path, progress: Callable[[int, int], None] | None = None
) -> ImageCache:
    """The pixels of these pairs, prepared as a trial wants; arguments and errors as in `open_cohort`."""
    preprocessing = Preprocessing.of(data)
    key = cache, str(preprocessing), data.missing_eye, data.on_bad_image
    source, images = _IMAGES.get(key, (None, None))
    if images is None or source is not pairs or not images.is_there:
        images = ImageCache.build(
            pairs,
            preprocessing,
            cache,
            missing_eye=data.missing_eye,
            on_bad_image=data.on_bad_image,
            progress=progress,
        )
        _IMAGES[key] = pairs, images
    return images


# The index of many images takes longer to read than a short training.
_IMAGES: dict[tuple[Path, str, str, str], tuple[Pairs, ImageCache]] = {}


def _open_dataset_once(data: DataSpec, cache: Path, progress: Callable[[int, int], None] | None) -> Pairs:
    """The pairs of a data set, read again only where it is another one."""
    place = data.root, tuple(roots().items()), cache
    key = data.dataset.model_dump_json(), place, data.phantom_patients, data.unit, data.frame
    if key not in _DATASETS:
        if len(_DATASETS) == _NUM_DATASETS:
            del _DATASETS[next(iter(_DATASETS))]
        _DATASETS[key] = open_dataset(data, cache, progress)
    return _DATASETS[key]


# The process of a trial asks for the same data set again for each trial, and reading a sheet takes a second.
_DATASETS: dict[object, Pairs] = {}
_NUM_DATASETS = 2
