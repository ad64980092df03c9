"""Retrieval measures of a run: `mhr@10`, `map@10` over all queries or one grade, `macro_mhr@10` over the grades.

The gallery is training and validation, the queries are the test split; nobody finds their own other eye.
"""

import re
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from study.evidence.predictions import Embeddings, embeddings_of
from study.evidence.retrieval import CUTOFFS, Ranking, average_precision, hit_rate, rank_references
from study.reporting.run import Run

MEASURE = re.compile(r"(macro_)?(mhr|map)@(\d+)")


def is_retrieval(measure: str) -> bool:
    """True for a measure of this module."""
    return MEASURE.fullmatch(measure) is not None


@lru_cache(maxsize=64)
def ranking_of(run: Run, trial: str) -> tuple[Ranking, tuple[str, ...]] | None:
    """The ranked references of each query and the queries' patients; None without embeddings or one label a sample."""
    if run.kind == "multilabel":
        return None
    parts = {e.split: e for e in embeddings_of(run.store.read_table("embeddings", [trial]))}
    gallery = [parts[split] for split in ("train", "val") if split in parts]
    if "test" not in parts or not gallery:
        return None
    ranking = rank_references(_joined(gallery), parts["test"], "cosine", max(CUTOFFS))
    return ranking, tuple(parts["test"].patient)


def _joined(parts: list[Embeddings]) -> Embeddings:
    first = parts[0]
    sample = [s for part in parts for s in part.sample]
    patient = [p for part in parts for p in part.patient]
    target, embedding = (np.concatenate([getattr(part, name) for part in parts]) for name in ("target", "embedding"))
    return Embeddings(first.trial, "gallery", sample, patient, target, embedding, first.synthetic)


def query_values(ranking: Ranking, measure: str) -> Float[np.ndarray, " q"]:
    """The measure of each query.

    Raises:
        ValueError: not a measure of this module.
    """
    found = MEASURE.fullmatch(measure)
    if not found:
        raise ValueError(f"`measure`: must be mhr@K, map@K or one of them with macro_ before it, got `{measure}`.")
    k = int(found[3])
    return hit_rate(ranking, k) if found[2] == "mhr" else average_precision(ranking, k, "k")


def weighted_means(ranking: Ranking, measure: str, grade: int | None, weights: Float[np.ndarray, "q b"]) -> Float[np.ndarray, " b"]:
    """Σ w value / Σ w over the queries, over those of one grade, or the mean of the grades that have queries (macro)."""
    values = query_values(ranking, measure)
    grades = sorted(set(ranking.grade)) if measure.startswith("macro_") else [grade]
    means = []
    for g in grades:
        mine = np.ones(len(values), dtype=bool) if g is None else ranking.grade == g
        with np.errstate(invalid="ignore"):
            means.append((values[mine] @ weights[mine]) / weights[mine].sum(axis=0))
    return np.mean(means, axis=0) if means else np.full(weights.shape[1], np.nan)
