"""Every image decoded once: preprocessed pixels in a memory-mapped file, named by what they are made of.

Beside them lies a thumbnail of each image, the same for all settings, by which `study.data.audit` compares
patients.
"""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from study.data.build_once import build_once
from study.data.images import quiet_pillow
from study.data.pairs import Pairs, digest
from study.data.preprocessing import Preprocessing
from study.spec.errors import BadImageError, CacheError, DataError
from study.spec.wording import size_text

PIXELS_VERSION = 3  # raised when the same settings give other pixels
MAX_LISTED = 10  # bad images that a message names
IMAGES, THUMBS, INDEX = "images.npy", "thumbs.npy", "images.json"
THUMB_PX = 64
THUMBNAIL = Preprocessing(image_px=THUMB_PX)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageCache:
    """The samples that can be used, and where the pixels of their images are.

    Attributes:
        folder: Where the pixels lie; a copy of this object in another process maps the same file.
        pairs: The samples that are left; `pairs.skipped` names the others.
        index: Row of `images` for each view of each sample.
        bad: Reason for each image that could not be decoded.
        source: Fingerprint of the pairs before any was left out, whose images the rows of `images` are.
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
        """Opens the cache of these pairs and settings; decodes all images first where it does not exist.

        Args:
            pairs: The samples; their fingerprint and the settings name the cache.
            preprocessing: What is done to each image.
            folder: Folder of all caches. Of several processes that want the same cache, the first builds it
                and the others wait.
            missing_eye: `skip` drops samples with one eye, `duplicate` shows the one eye in both places.
            on_bad_image: `skip` drops samples with an image that cannot be decoded.
            progress: Called with the number of images done and their total.

        Raises:
            DataError: an image is bad and `on_bad_image` is `error`, or no sample is left.
            CacheError: the folder cannot be written or has too little room.
        """
        home = folder / digest(PIXELS_VERSION, pairs.fingerprint, preprocessing)[:20]
        build_once(home, INDEX, partial(_write, pairs, preprocessing, progress))
        stored = json.loads((home / INDEX).read_text(encoding="utf-8"))
        kept, skipped = _usable(pairs, stored["bad"], missing_eye, on_bad_image)
        left = _with_labels_of_shown_eye(pairs.subset(np.array(kept)))
        one_eyed = sum(None in views for views in left.keys) if pairs.num_views == 2 else 0
        notes = [f"{one_eyed} samples have one eye, which is shown as both."] if one_eyed else []
        row_of = {key: row for row, key in enumerate(stored["keys"])}
        index = [_rows_of_views(keys, row_of) for keys in left.keys]
        return cls(
            folder=home,
            pairs=replace(left, skipped={**pairs.skipped, **skipped}, notes=(*pairs.notes, *notes)),
            index=np.array(index, dtype=np.int64),
            bad=stored["bad"],
            source=pairs.fingerprint,
        )

    @property
    def is_there(self) -> bool:
        """Whether the folder still exists."""
        return (self.folder / INDEX).is_file()

    @cached_property
    def images(self) -> UInt8[np.ndarray, "m px px 3"]:
        """All pixels as a read-only memory map; take rows by fancy indexing, which copies them."""
        mapped: np.ndarray = np.load(self.folder / IMAGES, mmap_mode="r")
        return mapped

    @cached_property
    def thumbs(self) -> UInt8[np.ndarray, "m 64 64 3"]:
        """A thumbnail of each row of `images`, cropped to the field of view; black where the image is bad."""
        mapped: np.ndarray = np.load(self.folder / THUMBS, mmap_mode="r")
        return mapped

    def __getstate__(self) -> dict[str, object]:
        """Everything but the pixels, which the other process maps itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("images", "thumbs")}


def _write(
    pairs: Pairs, preprocessing: Preprocessing, progress: Callable[[int, int], None] | None, folder: Path
) -> None:
    """Decodes all images into a folder."""
    keys = list(dict.fromkeys(key for views in pairs.keys for key in views if key is not None))
    shape, thumb_shape = ((len(keys), px, px, 3) for px in (preprocessing.image_px, THUMB_PX))
    num_bytes = sum(int(np.prod(sizes, dtype=np.int64)) for sizes in (shape, thumb_shape))
    remedy = "Free some, choose another folder or a smaller `data.image_px`."
    require_room(folder.parent, num_bytes, "images", remedy)
    images = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
    thumbs = np.lib.format.open_memmap(folder / THUMBS, mode="w+", dtype=np.uint8, shape=thumb_shape)
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
    """Fills `images` and `thumbs`; returns the reason for each bad image.

    A pool of threads does the work, since Pillow works outside of Python's lock.
    """
    bad = {}
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with quiet_pillow():
            reasons = pool.map(partial(_decode_one, pairs, preprocessing, images, thumbs), enumerate(keys))
            for done, (key, reason) in enumerate(zip(keys, reasons, strict=True), start=1):
                if reason:
                    bad[key] = reason
                if progress:
                    progress(done, len(keys))
    finally:
        pool.shutdown(cancel_futures=True)  # an interruption does not wait for the images that are left
    return bad


def _decode_one(
    pairs: Pairs,
    preprocessing: Preprocessing,
    images: UInt8[np.ndarray, "m px px 3"],
    thumbs: UInt8[np.ndarray, "m 64 64 3"],
    numbered: tuple[int, str],
) -> str:
    """Decodes the image of a row and a key; returns the reason where it is bad, else an empty text."""
    row, key = numbered
    try:
        image = pairs.load(key)
        images[row], thumbs[row] = preprocessing(image), THUMBNAIL(image)
    except BadImageError as error:
        return str(error)
    return ""


def require_room(folder: Path, num_bytes: int, content: str, remedy: str) -> None:
    """Looks before the work: a full disk would end the process while it writes to the memory map.

    Args:
        folder: Folder of all caches.
        num_bytes: Bytes that are to be written.
        content: What they are.
        remedy: What to do where there is too little room.

    Raises:
        CacheError: there is too little room.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise CacheError(
            f"`{folder}`: the cache of {content} needs {size_text(num_bytes)}, "
            f"got {size_text(free)} free. {remedy}"
        )


def _usable(
    pairs: Pairs,
    bad: dict[str, str],
    missing_eye: Literal["skip", "duplicate"],
    on_bad_image: Literal["error", "skip"],
) -> tuple[list[int], dict[str, list[str]]]:
    """Positions of the samples that can be used, and the names of the others by reason."""
    keys = pairs.keys
    one_eyed = [i for i, views in enumerate(keys) if None in views] if missing_eye == "skip" else []
    with_bad = {i for i, views in enumerate(keys) if not bad.keys().isdisjoint(views)}
    unreadable = sorted(with_bad - set(one_eyed))
    if unreadable and on_bad_image == "error":
        raise _unreadable_error(pairs, bad, unreadable)
    skipped = {}
    for reason, positions in (("missing_eye", one_eyed), ("bad_image", unreadable)):
        if positions:
            skipped[reason] = pairs.table["sample"].iloc[positions].tolist()
    dropped = {*one_eyed, *unreadable}
    kept = [i for i in range(len(keys)) if i not in dropped]
    if not kept:
        raise DataError(
            f"`{pairs.root}`: must hold a sample whose images can be used, got none of {len(pairs)}. "
            "See `missing_eye`."
        )
    return kept, skipped


def _unreadable_error(pairs: Pairs, bad: dict[str, str], positions: list[int]) -> DataError:
    keys = pairs.keys
    wrong = list(dict.fromkeys(key for i in positions for key in keys[i] if key in bad))
    listed = "".join(f"\n  {key}: {bad[key]}" for key in wrong[:MAX_LISTED] if key)
    more = f"\n  and {len(wrong) - MAX_LISTED} more" if len(wrong) > MAX_LISTED else ""
    return DataError(
        f"`{pairs.root}`: every image must be readable, got {len(wrong)} that are not:{listed}{more}\n"
        "Replace them, or set `data.on_bad_image: skip` to continue without their patients."
    )


def _rows_of_views(keys: tuple[str | None, ...], row_of: dict[str, int]) -> list[int]:
    """The row of each view's image, a missing one replaced by the other."""
    present = next(key for key in keys if key is not None)
    return [row_of[key if key is not None else present] for key in keys]


def _with_labels_of_shown_eye(pairs: Pairs) -> Pairs:
    """Gives a missing eye's place the labels of the eye that is shown there."""
    view_targets = pairs.view_targets.copy()
    for i, keys in enumerate(pairs.keys):
        if None in keys:
            view_targets[i] = view_targets[i, 1 - keys.index(None)]
    return replace(pairs, view_targets=view_targets)
