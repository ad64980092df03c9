"""Every image decoded once: preprocessed pixels in one memory-mapped file, found again by what they are made of.

Beside them lies a thumbnail of each image, the same for all settings, by which `study.data.audit` compares patients.
"""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64, UInt8

from study.data.build_once import build_once
from study.data.images import quiet_pillow
from study.data.pairs import Pairs, digest
from study.data.preprocessing import Preprocessing
from study.spec.errors import BadImageError, DataError, StorageError

VERSION = 2  # raised when the same settings give other pixels
LISTED = 10
IMAGES, THUMBS, INDEX = "images.npy", "thumbs.npy", "images.json"
THUMB = Preprocessing(64)


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The samples that can be used and where the pixels of their images are.

    Attributes:
        folder: Where the pixels lie; a copy of this object in another process maps the same file.
        pairs: The samples that are left; the others are named in `pairs.skipped`.
        index: Row of `images` for each view of each sample.
        bad: Reason for each image that could not be decoded.
        source: Fingerprint of the pairs that were given, before any was left out; the rows of the pixels are theirs.
    """

    folder: Path
    pairs: Pairs
    index: Int64[np.ndarray, "n v"]
    bad: dict[str, str]
    source: str

    @classmethod
    def build(
        cls,
        pairs: Pairs,
        preprocessing: Preprocessing,
        folder: Path,
        *,
        missing_eye: Literal["skip", "duplicate"] = "skip",
        on_bad_image: Literal["error", "skip"] = "error",
        progress: Callable[[int, int], None] | None = None,
    ) -> "ImageCache":
        """Opens the cache of these pairs and settings below `folder`, after decoding all images where it is not there yet.

        Args:
            pairs: The samples; their fingerprint and the settings name the cache.
            preprocessing: What is done to each image.
            folder: Folder of all caches; of several processes that want the same one, the first builds it and the others wait.
            missing_eye: `skip` drops samples with one eye, `duplicate` shows the one eye in both places.
            on_bad_image: `skip` drops samples with an image that cannot be decoded.
            progress: Called with the number of images done and their total.

        Raises:
            DataError: images are bad and `on_bad_image` is `error`, or no sample is left.
            StorageError: the folder cannot be written or has too little room.
        """
        home = folder / digest(VERSION, pairs.fingerprint, preprocessing)[:20]
        build_once(home, INDEX, partial(_write, pairs, preprocessing, progress))
        stored = json.loads((home / INDEX).read_text(encoding="utf-8"))
        kept, skipped = _survivors(pairs, stored["bad"], missing_eye, on_bad_image)
        if not kept:
            raise DataError(
                f"`{pairs.root}`: must hold a sample whose images can be used, got none of {len(pairs)}. See `missing_eye`."
            )
        left = _same_labels(pairs.subset(np.array(kept)))
        row = {key: i for i, key in enumerate(stored["keys"])}
        return cls(
            folder=home,
            pairs=replace(left, skipped={**pairs.skipped, **skipped}),
            index=np.array([[row[key] for key in _both(pair)] for pair in left.keys], dtype=np.int64),
            bad=stored["bad"],
            source=pairs.fingerprint,
        )

    @cached_property
    def images(self) -> UInt8[np.ndarray, "m px px 3"]:
        """All pixels as a read-only memory map; take rows by fancy indexing, which copies them."""
        mapped: np.ndarray = np.load(self.folder / IMAGES, mmap_mode="r")
        return mapped

    @cached_property
    def thumbs(self) -> UInt8[np.ndarray, "m 64 64 3"]:
        """A thumbnail of each row of `images`, cropped to the field of view and padded; black where the image is bad."""
        mapped: np.ndarray = np.load(self.folder / THUMBS, mmap_mode="r")
        return mapped

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the pixels, which the other process maps itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("images", "thumbs")}


def _write(
    pairs: Pairs, preprocessing: Preprocessing, progress: Callable[[int, int], None] | None, folder: Path
) -> None:
    """Decodes all images into a folder."""
    keys = list(dict.fromkeys(key for pair in pairs.keys for key in pair if key is not None))
    shape, small = ((len(keys), px, px, 3) for px in (preprocessing.image_px, THUMB.image_px))
    _require_room(folder.parent, int(np.prod(shape, dtype=np.int64) + np.prod(small, dtype=np.int64)))
    images = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
    thumbs = np.lib.format.open_memmap(folder / THUMBS, mode="w+", dtype=np.uint8, shape=small)
    bad = _decode(pairs, keys, preprocessing, images, thumbs, progress)
    images.flush()
    thumbs.flush()
    (folder / INDEX).write_text(json.dumps({"keys": keys, "bad": bad}), encoding="utf-8")


def _decode(
    pairs: Pairs,
    keys: list[str],
    preprocessing: Preprocessing,
    images: UInt8[np.ndarray, "m px px 3"],
    thumbs: UInt8[np.ndarray, "m 64 64 3"],
    progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """Fills `images` and `thumbs` in a thread pool (Pillow works outside Python's lock); returns the reason for each bad image."""
    bad = {}
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with quiet_pillow():
            reasons = pool.map(partial(_one, pairs, preprocessing, images, thumbs), enumerate(keys))
            for done, (key, reason) in enumerate(zip(keys, reasons, strict=True), start=1):
                if reason:
                    bad[key] = reason
                if progress:
                    progress(done, len(keys))
    finally:
        pool.shutdown(cancel_futures=True)  # an interruption does not wait for the images that are left
    return bad


def _one(
    pairs: Pairs,
    preprocessing: Preprocessing,
    images: UInt8[np.ndarray, "m px px 3"],
    thumbs: UInt8[np.ndarray, "m 64 64 3"],
    numbered: tuple[int, str],
) -> str:
    row, key = numbered
    try:
        image = pairs.load(key)
        images[row], thumbs[row] = preprocessing(image), THUMB(image)
    except BadImageError as error:
        return str(error)
    return ""


def _require_room(folder: Path, num_bytes: int) -> None:
    """A full disk would end the process while it writes to the memory map, so look before."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise StorageError(
            f"`{folder}`: the cache of images needs {num_bytes / 1e9:.2f} GB, got {free / 1e9:.2f} GB free. "
            "Free some, choose another folder or a smaller `data.image_px`."
        )


def _survivors(
    pairs: Pairs,
    bad: dict[str, str],
    missing_eye: Literal["skip", "duplicate"],
    on_bad_image: Literal["error", "skip"],
) -> tuple[list[int], dict[str, list[str]]]:
    """Positions of the samples that can be used, and the others by reason."""
    samples = pairs.table["sample"].tolist()
    keys = pairs.keys
    one_eyed = [i for i, pair in enumerate(keys) if None in pair] if missing_eye == "skip" else []
    blind = sorted({i for i, pair in enumerate(keys) if any(key in bad for key in pair)} - set(one_eyed))
    if blind and on_bad_image == "error":
        wrong = [key for i in blind for key in keys[i] if key in bad]
        wrong = list(dict.fromkeys(key for key in wrong if key))
        listed = "".join(f"\n  {key}: {bad[key]}" for key in wrong[:LISTED])
        more = f"\n  and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise DataError(
            f"`{pairs.root}`: every image must be readable, got {len(wrong)} that are not:{listed}{more}\n"
            "Replace them, or set `data.on_bad_image: skip` to go on without their patients."
        )
    reasons = {"missing_eye": [samples[i] for i in one_eyed], "bad_image": [samples[i] for i in blind]}
    dropped = {*one_eyed, *blind}
    return [i for i in range(len(keys)) if i not in dropped], {
        reason: names for reason, names in reasons.items() if names
    }


def _both(pair: tuple[str | None, ...]) -> tuple[str, ...]:
    """The keys of all views, a missing one replaced by the other."""
    there = next(key for key in pair if key is not None)
    return tuple(key if key is not None else there for key in pair)


def _same_labels(pairs: Pairs) -> Pairs:
    """Gives a missing eye's place the labels of the eye that is shown there."""
    view_targets = pairs.view_targets.copy()
    for i, pair in enumerate(pairs.keys):
        if None in pair:
            view_targets[i] = view_targets[i, 1 - pair.index(None)]
    return replace(pairs, view_targets=view_targets)
