"""Patients entered twice, found from their photographs: what a split by patient must keep on one side.

Two images are one photograph when their detail agrees almost fully, and one eye photographed again when it agrees well and that
of the fellow eyes does not: a reflection or dust of the camera is in both eyes of a patient, vessels are not.

Source: this project; thresholds from ODIR-5K and EyePACS, see `PHOTOGRAPH`, `EYE` and `MARGIN`.
Differs: nothing.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from study.data._similarity import BURNT, SIDE, alike, described, overlaid, seen_share, whitened
from study.data.cache import ImageCache
from study.data.images import ImageFolder
from study.data.pairs import digest
from study.spec.errors import StorageError

# Measured on the 13.4 million pairs of 5,180 images of ODIR-5K and the 0.26 million of 720 of EyePACS, the likely ones looked at:
# eyes photographed again lie at 0.83 to 0.94 with a margin of 0.5 to 0.7; strangers with a margin above 0.4 below 0.75, those above
# 0.75 at a margin below 0.26. Of copies (JPEG at 50, half the size, brightened, cut by 2 %, turned by 3 degrees) 98 to 100 % are
# found, and none joined strangers.
PHOTOGRAPH = 0.97  # correlation from which two images are one photograph
EYE, MARGIN = (
    0.8,
    0.4,
)  # correlation, and how far it lies above that of the fellow eyes, from which they show one eye
LOOK, LOOK_MARGIN = 0.6, 0.3  # the same, from which a person should look
SCREEN = 0.25  # cosine of whitened spectra below which no pair is laid over each other
SEEN = 0.2  # share of the field: less shows no eye
FAINT, BLANK = 0.2, 0.05  # strength of detail: less shows hardly anything of the eye, or nothing
WHITE = 0.05  # share of the corners that is saturated: the surround is not black, and the crop cannot find the field

VERSION = 1  # raised when the same images give other findings
EVIDENCE = ("same file", "same photograph", "same eye", "perhaps")
EYES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Similarity:
    """Pairs of images that look like one eye.

    Attributes:
        rows: rows of the cache, the smaller first.
        score: correlation of their detail, at the shift and rotation where it is greatest.
        elsewhere: the greatest such correlation between either of them and a fellow eye of theirs; NaN where there is none.
        strength: how much detail each row of the cache has.
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
        alone = np.isnan(self.elsewhere) & (self.score >= EYE)
        return np.asarray(~self.eye & (alone | (self.score - self.elsewhere >= LOOK_MARGIN)))


def open_similarity(cache: ImageCache) -> Similarity:
    """The likeness of all images, searched once and stored beside the image cache; the same for all image settings.

    Costs about a second for a thousand images, and grows with their square beyond some ten thousand.

    Raises:
        StorageError: it cannot be written there.
    """
    path = cache.folder.parent / f"likeness-{digest(VERSION, cache.source)[:20]}.npz"
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
            f"`{path}`: the findings of the audit must be writable there, got: {error}."
        ) from None
    return found


def duplicate_groups(cache: ImageCache) -> Int[np.ndarray, " n"]:
    """A number for each sample, the same where the patient is the same or one of their photographs shows the same eye.

    Drawn images have no duplicates: there each patient is a group.
    """
    pairs = cache.pairs
    patients = pd.factorize(pairs.table["patient"])[0]
    if pairs.synthetic:
        return patients
    num_samples, num_patients = len(pairs), int(patients.max()) + 1
    num_rows = len(cache.thumbs)
    place = _places(cache)
    place = place[
        seen_share(cache.thumbs[place["row"].to_numpy()]) >= SEEN
    ]  # one black frame for many patients links nobody
    likeness = open_similarity(cache)
    one_eye = likeness.rows[likeness.eye] + num_samples + num_patients
    first = [np.arange(num_samples), place["sample"].to_numpy(), one_eye[:, 0]]
    second = [patients + num_samples, place["row"].to_numpy() + num_samples + num_patients, one_eye[:, 1]]
    ends = np.concatenate(first), np.concatenate(second)
    nodes = num_samples + num_patients + num_rows
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(nodes, nodes))
    parts: np.ndarray = connected_components(graph, directed=False)[1]
    return pd.factorize(parts[:num_samples])[0]


def duplicates(cache: ImageCache) -> pd.DataFrame:
    """Patients of whom images look like one eye, the surest first; one photograph in both places of a patient too.

    Columns patient_a, patient_b, eyes (`left=left, right=right`; `left=right` of two patients: one was entered the wrong way round;
    file names in a set of single images), evidence, distance (1 less the greatest correlation), same_labels.
    """
    found = _image_pairs(cache)
    found = found[
        (found["patient_a"] != found["patient_b"])
        | (found["one_sample"] & found["evidence"].isin(EVIDENCE[:2]))
    ]
    found = found.assign(rank=found["evidence"].map(EVIDENCE.index)).sort_values(
        ["rank", "distance"], kind="stable"
    )
    grouped = found.groupby(["patient_a", "patient_b"], sort=False)
    table: pd.DataFrame = grouped.agg(
        eyes=("eyes", ", ".join),
        evidence=("evidence", "first"),
        distance=("distance", "min"),
        same_labels=("same_labels", "all"),
    ).reset_index()
    return table.astype({"eyes": str, "evidence": str})  # also where there is no row to tell


def poor_frames(cache: ImageCache) -> pd.DataFrame:
    """Images in which no eye can be recognised: columns patient, image, what."""
    thumbs, place = cache.thumbs, _places(cache)
    corners = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2)) > SIDE / 2
    white = (thumbs[:, corners].min(axis=2) >= BURNT).mean(axis=1)
    seen, strength = seen_share(thumbs), open_similarity(cache).strength
    kinds = {
        "nearly black or burnt out": seen < SEEN,
        "hardly any detail": strength < FAINT,
        "surround not black": white > WHITE,
    }
    row = place["row"].to_numpy()
    what = np.select([kind[row] for kind in kinds.values()], list(kinds), default="")
    poor: pd.DataFrame = place.assign(what=what)[["patient", "image", "what"]][what != ""]
    return poor.reset_index(drop=True)


def divided(cache: ImageCache, split: pd.DataFrame) -> pd.DataFrame:
    """Patients and duplicates of a split with samples on more than one side: columns patients, sides.

    Args:
        cache: the samples.
        split: columns sample and split; samples that are not in the cache do not count.
    """
    table = cache.pairs.table[["sample", "patient"]].assign(group=duplicate_groups(cache))
    table = table.merge(split[["sample", "split"]], on="sample")
    grouped = table.groupby("group", sort=False).agg(
        patients=("patient", lambda names: ", ".join(dict.fromkeys(names))),
        sides=("split", lambda sides: ", ".join(dict.fromkeys(sides))),
    )
    return grouped[grouped["sides"].astype(str).str.contains(",")].reset_index(drop=True)


def _search(cache: ImageCache) -> Similarity:
    """Screens all pairs by their spectra, lays the few that are left over each other, then compares the likely ones' fellow eyes."""
    thumbs = cache.thumbs
    spectra, strength = described(thumbs)
    vectors = whitened(spectra)
    vectors[(seen_share(thumbs) < SEEN) | (strength < BLANK)] = 0
    rows = alike(vectors, SCREEN)
    score = overlaid(thumbs, rows)
    rows, score = rows[score >= LOOK], score[score >= LOOK]
    fellow = _fellows(cache)
    looks, ends = [], []
    for at, (first, second) in enumerate(rows.tolist()):
        for pair in _elsewhere(first, second, fellow):
            looks.append(at)
            ends.append(pair)
    elsewhere = np.full(len(rows), np.nan)
    np.fmax.at(
        elsewhere,
        np.array(looks, dtype=np.int64),
        overlaid(thumbs, np.array(ends, dtype=np.int64).reshape(-1, 2)),
    )
    return Similarity(rows, score, elsewhere, strength)


def _fellows(cache: ImageCache) -> dict[int, int]:
    """The row of each image's fellow eye."""
    both = [
        pair
        for pair, keys in zip(cache.index.tolist(), cache.pairs.keys, strict=True)
        if len(keys) == 2 and None not in keys
    ]
    return {a: b for left, right in both for a, b in ((left, right), (right, left)) if left != right}


def _elsewhere(first: int, second: int, fellow: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Pairs of the two images with fellow eyes, which agree only by what the camera put there; none for two eyes of one patient."""
    if fellow.get(first) == second:
        return
    for row, others in ((first, (first, second)), (second, (second, first))):
        for other in others:
            if other in fellow:
                yield row, fellow[other]


def _places(cache: ImageCache) -> pd.DataFrame:
    """Where each image stands: columns row, sample (position), view, patient, image."""
    table = cache.pairs.table
    places = [
        (int(cache.index[i, view]), i, view, table["patient"].iloc[i], key)
        for i, keys in enumerate(cache.pairs.keys)
        for view, key in enumerate(keys)
        if key is not None
    ]
    return pd.DataFrame(places, columns=["row", "sample", "view", "patient", "image"])


def _image_pairs(cache: ImageCache) -> pd.DataFrame:
    """Each pair of places whose images look like one eye, the earlier sample first."""
    likeness, place = open_similarity(cache), _places(cache)
    kind = np.select([likeness.photograph, likeness.eye, likeness.perhaps], EVIDENCE[1:], default="")
    links = pd.DataFrame(
        {"a": likeness.rows[:, 0], "b": likeness.rows[:, 1], "score": likeness.score, "evidence": kind}
    )
    twice = np.flatnonzero(np.bincount(place["row"]) > 1)
    links = pd.concat(
        [links[kind != ""], pd.DataFrame({"a": twice, "b": twice, "score": 1.0, "evidence": EVIDENCE[0]})]
    )
    found = links.merge(place, left_on="a", right_on="row").merge(
        place, left_on="b", right_on="row", suffixes=("_a", "_b")
    )
    found = pd.concat([found, found.rename(columns=_exchanged)])
    before = (found["sample_a"] < found["sample_b"]) | (
        (found["sample_a"] == found["sample_b"]) & (found["view_a"] < found["view_b"])
    )
    found = found[before].drop_duplicates(["sample_a", "view_a", "sample_b", "view_b"]).reset_index(drop=True)
    targets, single = cache.pairs.targets, cache.pairs.num_views == 1
    described_pairs: pd.DataFrame = found.assign(
        eyes=[
            f"{a}={b}" if single else f"{EYES[v]}={EYES[w]}"
            for a, b, v, w in zip(
                found["image_a"], found["image_b"], found["view_a"], found["view_b"], strict=True
            )
        ],
        evidence=[
            _of_files(cache, *pair)
            for pair in zip(found["evidence"], found["image_a"], found["image_b"], strict=True)
        ],
        distance=(1 - found["score"]).clip(lower=0),
        one_sample=found["sample_a"] == found["sample_b"],
        same_labels=(targets[found["sample_a"]] == targets[found["sample_b"]]).all(axis=1),
    )
    return described_pairs


def _exchanged(column: str) -> str:
    """The column's name for the pair taken the other way round."""
    return {"_a": column[:-1] + "b", "_b": column[:-1] + "a"}.get(column[-2:], column)


def _of_files(cache: ImageCache, evidence: str, first: str, second: str) -> str:
    """`same file` for one photograph whose two files hold the same bytes."""
    load = cache.pairs.load
    if evidence == EVIDENCE[1] and isinstance(load, ImageFolder):
        hashes = {hashlib.sha256((Path(load.folder) / key).read_bytes()).digest() for key in (first, second)}
        return EVIDENCE[0] if len(hashes) == 1 else evidence
    return evidence
