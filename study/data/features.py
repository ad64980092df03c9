"""What a frozen network gives for every image, computed once and kept in a memory-mapped file.

It is kept in half precision (11 significant bits; bfloat16 has 8), scaled for each image by a power of two so
that its largest number lies near the top of the format's range. So each number is off by at most 2^-11 of
itself, or by 2^-39 of the image's largest one if that is more, and none is too large for the format.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from study.data.build_once import build_once
from study.data.cache import require_room
from study.data.pairs import digest

FEATURES_VERSION = 1  # raised when the same settings give other features
FEATURES, LABELS = "features.npy", "labels.npz"
KEPT = np.dtype(np.float16)
REMEDY = "Free some, choose another folder, or set `resources.features_gb` to 0."

Samples = tuple[Tensor, Tensor, Tensor, Tensor]
"""A batch as `Batches` and `FeatureBatches` give it: inputs, targets, view targets, and rows."""
Encode = Callable[[Float[Tensor, "b v *i"]], Float[Tensor, "b v *s"]]
"""Gives the features of images, or of other features, in evaluation mode and without a gradient."""


class Shape(NamedTuple):
    """How large features are.

    Attributes:
        passes: Number of passes over the samples, each with another change of the images.
        samples: Number of samples.
        views: Views of a sample.
        of_view: Sizes of the features of a view.
    """

    passes: int
    samples: int
    views: int
    of_view: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes on the disk, but for scales and labels."""
        return self.passes * self.samples * self.views * int(np.prod(self.of_view)) * KEPT.itemsize


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """The features of some samples, as several passes over their images gave them.

    Attributes:
        folder: Where they lie; a copy of this object in another process maps the same file.
    """

    folder: Path

    @classmethod
    def named(cls, folder: Path, key: Sequence[object], shape: Shape) -> "FeatureSet":
        """The features, which may not exist yet.

        Args:
            folder: Folder of all caches.
            key: All that decides what the features are; it names them.
            shape: How large they are.
        """
        return cls(folder=folder / f"features-{digest(FEATURES_VERSION, KEPT, shape, *key)[:20]}")

    @property
    def exists(self) -> bool:
        """Whether the features are there."""
        return (self.folder / LABELS).is_file()

    def make(
        self,
        passes: Iterable[Iterable[Samples]],
        encode: Encode,
        shape: Shape,
        progress: Callable[[int, int], None] | None = None,
    ) -> "FeatureSet":
        """Makes the features where they do not exist, batch by batch.

        Of several processes that want the same features, the first makes them and the others wait.

        Args:
            passes: Batches of the same samples in their given order, once for each change of their images.
            encode: Gives the features of a batch.
            shape: How large they will be.
            progress: Called with the number of samples done and their total over all passes.

        Raises:
            StorageError: the folder cannot be written or has too little room.
        """
        build_once(self.folder, LABELS, partial(_write, passes, encode, shape, progress))
        return self

    @cached_property
    def features(self) -> Float[np.ndarray, "m ..."]:
        """All features as a read-only memory map, pass after pass, sample after sample, view after view.

        They are divided by their scale.
        """
        mapped: np.ndarray = np.load(self.folder / FEATURES, mmap_mode="r")
        return mapped

    @cached_property
    def labels(self) -> dict[str, Float32[np.ndarray, "k n ..."]]:
        """`targets` "k n l" and `view_targets` "k n v l" of each pass, and `scale` "k n v"."""
        with np.load(self.folder / LABELS) as stored:
            return dict(stored)

    def __getstate__(self) -> dict[str, object]:
        """The folder alone; the other process reads the files itself."""
        return {"folder": self.folder}


def _write(
    passes: Iterable[Iterable[Samples]],
    encode: Encode,
    shape: Shape,
    progress: Callable[[int, int], None] | None,
    folder: Path,
) -> None:
    """Makes all features into a folder.

    It writes to a stream, since a full disk would end a process that writes to a memory map.
    """
    require_room(folder.parent, shape.num_bytes, "features of a frozen network", REMEDY)
    num_samples = shape.passes * shape.samples
    whole = (num_samples * shape.views, *shape.of_view)
    header = {"descr": KEPT.str, "fortran_order": False, "shape": whole}
    parts: dict[str, list[np.ndarray]] = {"scale": [], "targets": [], "view_targets": []}
    done = 0
    with (folder / FEATURES).open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for inputs, targets, view_targets, rows in chain.from_iterable(passes):
            scaled, scale = _scaled(encode(inputs))
            stream.write(np.ascontiguousarray(scaled.cpu().numpy().astype(KEPT)).data)
            found = {"scale": scale, "targets": targets, "view_targets": view_targets}
            for name, values in found.items():
                parts[name].append(values.cpu().numpy())
            done += len(rows)
            if progress:
                progress(done, num_samples)
    labels = {
        name: np.concatenate(values).reshape(shape.passes, shape.samples, *values[0].shape[1:])
        for name, values in parts.items()
    }
    np.savez(
        folder / LABELS, allow_pickle=False, **labels
    )  # the last file: where it lies, the others do, too


def _scaled(features: Float[Tensor, "b v *s"]) -> tuple[Float[Tensor, "b v *s"], Float[Tensor, "b v"]]:
    """The features of each view divided by a power of two, so that the largest lies in 2^14 to 2^15."""
    features = features.float()
    largest = features.flatten(2).abs().amax(2)
    exponent = (torch.frexp(largest).exponent - 15).clamp(min=-126)  # of a normal number in 32 bits
    scale = torch.ldexp(torch.ones_like(largest), exponent)
    scale = torch.where(largest.isfinite(), scale, 1.0)
    return features / scale.view(*scale.shape, *[1] * (features.ndim - 2)), scale
