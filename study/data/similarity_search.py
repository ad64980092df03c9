"""Which images of a cache look like one eye: all pairs searched once, the findings stored beside the cache.

Two images are one photograph when their detail agrees almost fully. They are one eye photographed again when
their detail agrees well and that of the fellow eyes does not: a reflection or dust of the camera is in both
eyes of a patient, vessels are not.

Source: this project; thresholds from ODIR-5K and EyePACS, see `PHOTOGRAPH`, `EYE` and `MARGIN`.
Differs: nothing.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from study.data._similarity import (
    registered_correlation,
    similar_pairs,
    spectra_and_strength,
    visible_share,
    whiten,
)
from study.data.cache import ImageCache
from study.data.pairs import digest
from study.spec.errors import StorageError

# The thresholds are measured on the 13.4 million pairs of 5,180 images of ODIR-5K and the 0.26 million
# pairs of 720 images of EyePACS, of which the likely ones were looked at. Eyes photographed again have a
# correlation of 0.83 to 0.94 with a margin of 0.5 to 0.7. Strangers with a margin above 0.4 have a
# correlation below 0.75, those with a correlation above 0.75 a margin below 0.26. Of copies (JPEG at 50,
# half the size, brightened, cut by 2 %, turned by 3 degrees) 98 to 100 % are found, and none was taken for
# an image of a stranger.
PHOTOGRAPH = 0.97  # correlation from which two images are one photograph
EYE = 0.8  # correlation from which two images show one eye,
MARGIN = 0.4  # where it lies at least this much above the correlation with the fellow eyes
MAYBE_EYE, MAYBE_MARGIN = 0.6, 0.3  # the same two limits, from which a person should look
MIN_COSINE = 0.25  # of whitened spectra; pairs below it are not compared further
MIN_VISIBLE = 0.2  # share of the field: less of it shows no eye
MIN_STRENGTH = 0.05  # strength of detail: less shows nothing of the eye

SIMILARITY_VERSION = 1  # raised when the same images give other findings


@dataclass(frozen=True, kw_only=True, eq=False)
class Similarity:
    """Pairs of images that look like one eye.

    Attributes:
        rows: Rows of the cache, the smaller first.
        score: Correlation of their detail, at the shift and rotation where it is greatest.
        elsewhere: The greatest such correlation between either of them and a fellow eye of theirs; NaN where
            there is no fellow eye.
        strength: Strength of detail of each row of the cache.
    """

    rows: Int[np.ndarray, "n 2"]
    score: Float[np.ndarray, " n"]
    elsewhere: Float[np.ndarray, " n"]
    strength: Float32[np.ndarray, " m"]

    @cached_property
    def photograph(self) -> Bool[np.ndarray, " n"]:
        """Which pairs are one photograph."""
        return self.score >= PHOTOGRAPH

    @cached_property
    def eye(self) -> Bool[np.ndarray, " n"]:
        """Which pairs show one eye, in one photograph or two."""
        return np.asarray(self.photograph | ((self.score >= EYE) & (self.score - self.elsewhere >= MARGIN)))

    @cached_property
    def perhaps(self) -> Bool[np.ndarray, " n"]:
        """Which other pairs a person should look at."""
        without_fellow = np.isnan(self.elsewhere) & (self.score >= EYE)
        return np.asarray(~self.eye & (without_fellow | (self.score - self.elsewhere >= MAYBE_MARGIN)))


def open_similarity(cache: ImageCache) -> Similarity:
    """The similarity of all images, searched once and stored beside the image cache, for all image settings.

    The search takes about a second for a thousand images; beyond some ten thousand it grows with their
    square.

    Raises:
        StorageError: the findings cannot be written there.
    """
    path = cache.folder.parent / f"likeness-{digest(SIMILARITY_VERSION, cache.source)[:20]}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return Similarity(**stored)
    found = _search(cache)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".building", delete=False) as file:
            np.savez(
                file, rows=found.rows, score=found.score, elsewhere=found.elsewhere, strength=found.strength
            )
        Path(file.name).replace(path)
    except OSError as error:
        raise StorageError(
            f"`{path}`: the findings of the audit must be writable there, got: {error}. "
            "Free some room or choose another folder."
        ) from None
    return found


def _search(cache: ImageCache) -> Similarity:
    """Screens all pairs by their spectra, registers the rest, then compares the likely ones' fellow eyes."""
    thumbs = cache.thumbs
    spectra, strength = spectra_and_strength(thumbs)
    vectors = whiten(spectra)
    vectors[(visible_share(thumbs) < MIN_VISIBLE) | (strength < MIN_STRENGTH)] = 0
    rows = similar_pairs(vectors, MIN_COSINE)
    score = registered_correlation(thumbs, rows)
    rows, score = rows[score >= MAYBE_EYE], score[score >= MAYBE_EYE]
    fellow = _fellow_eyes(cache)
    owners, controls = [], []  # pair of images that a control belongs to, and the control's two rows
    for number, (first, second) in enumerate(rows.tolist()):
        for control in _controls(first, second, fellow):
            owners.append(number)
            controls.append(control)
    elsewhere = np.full(len(rows), np.nan)
    control_rows = np.array(controls, dtype=np.int64).reshape(-1, 2)
    np.fmax.at(elsewhere, np.array(owners, dtype=np.int64), registered_correlation(thumbs, control_rows))
    return Similarity(rows=rows, score=score, elsewhere=elsewhere, strength=strength)


def _fellow_eyes(cache: ImageCache) -> dict[int, int]:
    """The row of each image's fellow eye."""
    fellow: dict[int, int] = {}
    for rows, keys in zip(cache.index.tolist(), cache.pairs.keys, strict=True):
        if len(keys) == 2 and None not in keys and rows[0] != rows[1]:
            left, right = rows
            fellow |= {left: right, right: left}
    return fellow


def _controls(first: int, second: int, fellow: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Pairs of the two images with fellow eyes, which agree only by what the camera put there.

    There is none for the two eyes of one patient.
    """
    if fellow.get(first) == second:
        return
    for row, others in ((first, (first, second)), (second, (second, first))):
        for other in others:
            if other in fellow:
                yield row, fellow[other]
