"""Nearest neighbours at a setting that validation did not choose, decided again from stored embeddings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import cast

import numpy as np
from jaxtyping import Float

from study.evidence.neighbours import Ties, nearest, votes_for_all_k
from study.evidence.predictions import Embeddings, Predictions, embeddings_of
from study.evidence.store import Store
from study.spec.posthoc import DistanceName, Votes

HEAD_OF_TIES: Mapping[Ties, str] = {"distance": "knn", "first": "knn_first"}  # as in `evidence.heads`
FREE_NEIGHBOURS = HEAD_OF_TIES["distance"]  # the head whose K, distance and votes validation chooses
_TIES_OF_HEAD = {head: ties for ties, head in HEAD_OF_TIES.items()}


def split_setting(setting: str) -> tuple[int, str]:
    """`k=5, cosine, uniform` as (5, "cosine, uniform"); the number is 0 where the setting has no K."""
    found = re.match(r"k\s*=\s*(\d+)\s*,?\s*", setting)
    return (int(found[1]), setting[found.end() :]) if found else (0, setting)


def neighbour_predictions(
    store: Store, trial: str, split: str, head: str, setting: str, *, exclusive: bool
) -> Predictions | None:
    """The predictions of a split at the setting.

    Args:
        store: The run.
        trial: Key of the trial whose embeddings are used.
        split: The split to score.
        head: A head of nearest neighbours, which says how equal votes are decided.
        setting: Such as `k=5, cosine, uniform`.
        exclusive: Whether a sample has exactly one label.

    Returns:
        None where the trial has no embeddings of the split, or fewer than K of training samples.
    """
    parts = _embeddings(store, trial, split)
    if parts is None:
        return None
    train, new = parts
    k, way = split_setting(setting)
    if k > len(train.sample):
        return None
    distance, votes = way.split(", ")
    found = nearest(train.embedding, new.embedding, cast(DistanceName, distance), k)
    ties = _TIES_OF_HEAD[head]
    scores = votes_for_all_k(found, train.target, cast(Votes, votes), ties=ties, exclusive=exclusive)
    return _predictions(new, head, setting, scores[k - 1])


def predictions_at_settings(
    store: Store, trial: str, split: str, head: str, settings: Sequence[str], *, exclusive: bool
) -> Iterator[Predictions]:
    """The predictions of a split at many settings, of the samples with known labels; arguments as above.

    Yields:
        The predictions at each setting; nothing where the trial has no embeddings.
    """
    parts = _embeddings(store, trial, split)
    if parts is None:
        return
    train, new = parts[0], parts[1].known()
    for way, of_way in groupby(settings, key=lambda setting: split_setting(setting)[1]):
        distance, votes = way.split(", ")
        found = nearest(train.embedding, new.embedding, cast(DistanceName, distance))
        ties = _TIES_OF_HEAD[head]
        scores = votes_for_all_k(found, train.target, cast(Votes, votes), ties=ties, exclusive=exclusive)
        for setting in of_way:
            yield _predictions(new, head, setting, scores[split_setting(setting)[0] - 1])


def _embeddings(store: Store, trial: str, split: str) -> tuple[Embeddings, Embeddings] | None:
    """The training samples with known labels, and the split; None where one of them is missing."""
    table = store.read_table("embeddings", [trial], filters={"split": ["train", split]})
    parts = {embeddings.split: embeddings for embeddings in embeddings_of(table)}
    return (parts["train"].known(), parts[split]) if {"train", split} <= parts.keys() else None


def _predictions(new: Embeddings, head: str, setting: str, score: Float[np.ndarray, "n l"]) -> Predictions:
    return Predictions(
        trial=new.trial,
        head=head,
        setting=setting,
        split=new.split,
        sample=new.sample,
        patient=new.patient,
        target=new.target,
        score=score,
        synthetic=new.synthetic,
    )
