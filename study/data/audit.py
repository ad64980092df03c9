"""Patients entered twice, found from their photographs: a split by patient must keep them together."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from study.data._similarity import SATURATED, visible_share
from study.data.cache import THUMB_PX, ImageCache
from study.data.images import ImageFolder
from study.data.pairs import EYES
from study.data.similarity_search import MIN_VISIBLE, open_similarity

FAINT = 0.2  # strength of detail: less shows hardly anything of the eye
MAX_WHITE = (
    0.05  # share of the corners: more saturated pixels are no black surround, and the crop misses the field
)
SAME_FILE, SAME_PHOTOGRAPH, SAME_EYE, PERHAPS = "same file", "same photograph", "same eye", "perhaps"
EVIDENCE = (SAME_FILE, SAME_PHOTOGRAPH, SAME_EYE, PERHAPS)
"""Why two images may show one eye, the surest first."""


def duplicate_groups(cache: ImageCache) -> Int[np.ndarray, " n"]:
    """A number for each sample, the same for two samples of one patient or with photographs of one eye.

    Drawn images have no duplicates: there each patient is a group.
    """
    pairs = cache.pairs
    patients = pd.factorize(pairs.table["patient"])[0]
    if pairs.synthetic:
        return patients
    images = _image_table(cache)
    visible = visible_share(cache.thumbs[images["row"].to_numpy()]) >= MIN_VISIBLE
    images = images[visible]  # one black frame in the place of many patients' images links nobody
    similarity = open_similarity(cache)
    # A graph whose nodes are the samples, then the patients, then the rows of the cache.
    first_patient = len(pairs)
    first_row = first_patient + int(patients.max()) + 1
    num_nodes = first_row + len(cache.thumbs)
    same_eye = similarity.rows[similarity.eye] + first_row
    starts = [np.arange(len(pairs)), images["sample"].to_numpy(), same_eye[:, 0]]
    ends = [patients + first_patient, images["row"].to_numpy() + first_row, same_eye[:, 1]]
    edges = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(num_nodes, num_nodes))
    components: np.ndarray = connected_components(graph, directed=False)[1]
    return pd.factorize(components[: len(pairs)])[0]


def duplicates(cache: ImageCache) -> pd.DataFrame:
    """Pairs of patients with images that look like one eye, the surest first.

    A patient with one photograph for both eyes is paired with itself.

    Returns:
        Columns patient_a, patient_b, eyes (such as `left=left, right=right`; `left=right` of two patients
            means that
        one was entered with the eyes exchanged; file names in a set of single images), evidence (one of
            `EVIDENCE`),
        distance (1 less the greatest correlation) and same_labels.
    """
    found = _image_pairs(cache)
    other_patient = found["patient_a"] != found["patient_b"]
    twice_in_sample = found["one_sample"] & found["evidence"].isin((SAME_FILE, SAME_PHOTOGRAPH))
    found = found[other_patient | twice_in_sample]
    found = found.assign(rank=found["evidence"].map(EVIDENCE.index))
    found = found.sort_values(["rank", "distance"], kind="stable")
    grouped = found.groupby(["patient_a", "patient_b"], sort=False)
    table: pd.DataFrame = grouped.agg(
        eyes=("eyes", ", ".join),
        evidence=("evidence", "first"),
        distance=("distance", "min"),
        same_labels=("same_labels", "all"),
    ).reset_index()
    return table.astype({"eyes": str, "evidence": str})  # a table without rows has no types of its own


def poor_frames(cache: ImageCache) -> pd.DataFrame:
    """Images in which no eye can be recognised: columns patient, image and what (the reason)."""
    thumbs, images = cache.thumbs, _image_table(cache)
    corners = np.hypot(*(np.mgrid[:THUMB_PX, :THUMB_PX] - (THUMB_PX - 1) / 2)) > THUMB_PX / 2
    white = (thumbs[:, corners].min(axis=2) >= SATURATED).mean(axis=1)
    reasons = {
        "nearly black or burnt out": visible_share(thumbs) < MIN_VISIBLE,
        "hardly any detail": open_similarity(cache).strength < FAINT,
        "surround not black": white > MAX_WHITE,
    }
    row = images["row"].to_numpy()
    what = np.select([is_poor[row] for is_poor in reasons.values()], list(reasons), default="")
    poor: pd.DataFrame = images.assign(what=what)[["patient", "image", "what"]][what != ""]
    return poor.reset_index(drop=True)


def divided_groups(cache: ImageCache, split: pd.DataFrame) -> pd.DataFrame:
    """Patients, and groups of duplicates, with samples in more than one split: columns patients and splits.

    Args:
        cache: The samples.
        split: Columns sample and split; samples that are not in the cache do not count.
    """
    table = cache.pairs.table[["sample", "patient"]].assign(group=duplicate_groups(cache))
    table = table.merge(split[["sample", "split"]], on="sample")
    grouped = table.groupby("group", sort=False).agg(patients=("patient", _listed), splits=("split", _listed))
    return grouped[grouped["splits"].astype(str).str.contains(",")].reset_index(drop=True)


def _listed(names: pd.Series) -> str:
    """The different names, parted by commas."""
    return ", ".join(dict.fromkeys(names))


def _image_table(cache: ImageCache) -> pd.DataFrame:
    """Where each image stands: columns row, sample (its position), view, patient and image (its key)."""
    patients = cache.pairs.table["patient"].tolist()
    places = [
        (int(cache.index[i, view]), i, view, patients[i], key)
        for i, keys in enumerate(cache.pairs.keys)
        for view, key in enumerate(keys)
        if key is not None
    ]
    return pd.DataFrame(places, columns=["row", "sample", "view", "patient", "image"])


def _image_pairs(cache: ImageCache) -> pd.DataFrame:
    """Each pair of images that look like one eye, the earlier sample first."""
    images = _image_table(cache)
    links = _linked_rows(cache, images)
    found = links.merge(images, left_on="a", right_on="row")
    found = found.merge(images, left_on="b", right_on="row", suffixes=("_a", "_b"))
    found = pd.concat([found, found.rename(columns=_exchanged)])
    earlier = found["sample_a"] < found["sample_b"]
    earlier |= (found["sample_a"] == found["sample_b"]) & (found["view_a"] < found["view_b"])
    found = found[earlier].drop_duplicates(["sample_a", "view_a", "sample_b", "view_b"])
    found = found.reset_index(drop=True)
    targets = cache.pairs.targets
    files = zip(found["evidence"], found["image_a"], found["image_b"], strict=True)
    described: pd.DataFrame = found.assign(
        eyes=_eyes_text(cache, found),
        evidence=[_evidence_of_files(cache, *pair) for pair in files],
        distance=(1 - found["score"]).clip(lower=0),
        one_sample=found["sample_a"] == found["sample_b"],
        same_labels=(targets[found["sample_a"]] == targets[found["sample_b"]]).all(axis=1),
    )
    return described


def _linked_rows(cache: ImageCache, images: pd.DataFrame) -> pd.DataFrame:
    """Rows that look like one eye, and rows that stand in two places: columns a, b, score and evidence."""
    similarity = open_similarity(cache)
    kinds = [similarity.photograph, similarity.eye, similarity.perhaps]
    evidence = np.select(kinds, [SAME_PHOTOGRAPH, SAME_EYE, PERHAPS], default="")
    a, b = similarity.rows.T
    similar = pd.DataFrame({"a": a, "b": b, "score": similarity.score, "evidence": evidence})
    twice = np.flatnonzero(np.bincount(images["row"]) > 1)
    shared = pd.DataFrame({"a": twice, "b": twice, "score": 1.0, "evidence": SAME_FILE})
    linked: pd.DataFrame = pd.concat([similar[evidence != ""], shared])
    return linked


def _exchanged(column: str) -> str:
    """The column's name for the pair taken the other way round."""
    return {"_a": column[:-1] + "b", "_b": column[:-1] + "a"}.get(column[-2:], column)


def _eyes_text(cache: ImageCache, found: pd.DataFrame) -> list[str]:
    """Which eye of the one patient is which eye of the other; file names in a set of single images."""
    if cache.pairs.num_views == 1:
        return [f"{a}={b}" for a, b in zip(found["image_a"], found["image_b"], strict=True)]
    return [f"{EYES[a]}={EYES[b]}" for a, b in zip(found["view_a"], found["view_b"], strict=True)]


def _evidence_of_files(cache: ImageCache, evidence: str, first: str, second: str) -> str:
    """The evidence, or `same file` for one photograph whose two files hold the same bytes."""
    load = cache.pairs.load
    if evidence != SAME_PHOTOGRAPH or not isinstance(load, ImageFolder):
        return evidence
    hashes = {hashlib.sha256((Path(load.folder) / key).read_bytes()).digest() for key in (first, second)}
    return SAME_FILE if len(hashes) == 1 else evidence
