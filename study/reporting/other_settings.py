"""Nearest neighbours at a setting that validation did not choose, decided again from stored embeddings."""

import re
from collections.abc import Mapping
from typing import cast

from study.evidence.neighbours import Ties, nearest, votes_for_all_k
from study.evidence.predictions import Predictions, embeddings_of
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
    table = store.read_table("embeddings", [trial], filters={"split": ["train", split]})
    parts = {embeddings.split: embeddings.known() for embeddings in embeddings_of(table)}
    if not {"train", split} <= parts.keys():
        return None
    train, new = parts["train"], parts[split]
    k, way = split_setting(setting)
    if k > len(train.sample):
        return None
    distance, votes = way.split(", ")
    found = nearest(train.embedding, new.embedding, cast(DistanceName, distance), k)
    ties = _TIES_OF_HEAD[head]
    scores = votes_for_all_k(found, train.target, cast(Votes, votes), ties=ties, exclusive=exclusive)
    return Predictions(
        trial=trial,
        head=head,
        setting=setting,
        split=split,
        sample=new.sample,
        patient=new.patient,
        target=new.target,
        score=scores[k - 1],
        synthetic=new.synthetic,
    )
