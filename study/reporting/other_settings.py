"""Nearest neighbours at a setting that was not chosen, decided again from the stored embeddings."""

import re
from typing import Literal, cast

from study.evidence.neighbours import DistanceName, Votes, nearest, votes_for_all_k
from study.evidence.predictions import Predictions, embeddings_of
from study.evidence.store import Store

TIES: dict[str, Literal["distance", "first"]] = {"knn": "distance", "knn_first": "first"}


def split_setting(setting: str) -> tuple[int, str]:
    """`k=5, cosine, uniform` as (5, "cosine, uniform"); K is 0 where there is none."""
    found = re.match(r"k\s*=\s*(\d+)\s*,?\s*", setting)
    return (int(found[1]), setting[found.end() :]) if found else (0, setting)


def neighbour_predictions(
    store: Store, trial: str, split: str, head: str, setting: str, *, exclusive: bool
) -> Predictions | None:
    """Scores of a split at the setting; None where the trial has no embeddings of it or of the training samples.

    Args:
        store: the run.
        trial: whose embeddings.
        split: the split to score.
        head: `knn` or `knn_first`, which says how equal votes are decided.
        setting: `k=5, cosine, uniform`.
        exclusive: whether a sample has exactly one label.
    """
    parts = {
        e.split: e
        for e in embeddings_of(store.read_table("embeddings", [trial], filters={"split": ["train", split]}))
    }
    if not {"train", split} <= set(parts):
        return None
    train, new = parts["train"], parts[split]
    k, way = split_setting(setting)
    distance, votes = way.split(", ")
    found = nearest(train.embedding, new.embedding, cast(DistanceName, distance), k)
    score = votes_for_all_k(found, train.target, cast(Votes, votes), TIES[head], exclusive)[k - 1]
    return Predictions(trial, head, setting, split, new.sample, new.patient, new.target, score, new.synthetic)
