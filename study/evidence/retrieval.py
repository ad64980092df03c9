"""Retrieval: are the nearest references of the same grade as the query?

Names of the measures, k being 5, 10, 20 or 50:

    mhr@k           hit rate: relevant among the first k, divided by k
    mrr@k           1 / rank of the first relevant one, 0 where none is among the first k
    map@k           average precision divided by k
    map_hits@k      the same divided by the relevant among the first k
    map_possible@k  the same divided by min(k, references of the grade): 1 for a perfect ranking
    macro_…         the mean over the grades; without it over all queries, or over those of one grade (its label)

Source: the measures of Fang et al. 2023 as their code computes them (mHR, mAP divided by k); mRR is not in it.
Differs: mAP in all three normalisations; references of the query's own patient can be left out; means over grades, because
a retriever that always returns the commonest grade has a good mean over queries.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from study.evidence.neighbours import DistanceName, nearest
from study.evidence.predictions import Embeddings, joined

Normalisation = Literal["k", "hits", "possible"]
CUTOFFS = (5, 10, 20, 50)
HEAD = "retrieval"  # in the column `head` of SCORES
DEFAULT_RETRIEVAL = "macro_map_possible@10"
_KINDS = ("mhr", "mrr", "map", "map_hits", "map_possible")
_MEASURE = re.compile(rf"(macro_)?({'|'.join(_KINDS)})@({'|'.join(map(str, CUTOFFS))})")


@dataclass(frozen=True)
class Gallery:
    """How references are ranked for a query.

    Attributes:
        distance: between embeddings.
        exclude_same_patient: as in `rank_references`.
    """

    distance: DistanceName = "cosine"
    exclude_same_patient: bool = True


@dataclass(frozen=True)
class Ranking:
    """The grades of the nearest references of each query.

    Attributes:
        relevant: whether each is of the query's grade, nearest first; false where there was no reference left.
        possible: how many references of the query's grade there are.
        grade: of each query.
    """

    relevant: Bool[np.ndarray, "q k"]
    possible: Int[np.ndarray, " q"]
    grade: Int[np.ndarray, " q"]


def rank_references(
    references: Embeddings,
    queries: Embeddings,
    metric: DistanceName = "cosine",
    k: int = max(CUTOFFS),
    exclude_same_patient: bool = True,
) -> Ranking:
    """Ranks the references for each query.

    Args:
        references: the gallery, one grade (or class) a sample.
        queries: what to search for.
        metric: of the embeddings.
        k: how many references to keep.
        exclude_same_patient: never return samples of the query's own patient; otherwise the patient's other samples among the
            queries (the fellow eye) are part of the gallery of this query, as after a split by image.
    """
    references, queries = references.known(), queries.known()
    if not exclude_same_patient:
        references = joined([references, queries], "gallery")
    allowed = _allowed(references, queries, exclude_same_patient)
    reference_grade, grade = references.target.argmax(axis=1), queries.target.argmax(axis=1)
    found = nearest(references.embedding, queries.embedding, metric, k, allowed)
    relevant = (reference_grade[found.index] == grade[:, None]) & np.isfinite(found.distance)
    if allowed is None:
        return Ranking(
            relevant, np.bincount(reference_grade, minlength=references.target.shape[1])[grade], grade
        )
    return Ranking(relevant, ((grade[:, None] == reference_grade) & allowed).sum(axis=1), grade)


def _allowed(
    references: Embeddings, queries: Embeddings, exclude_same_patient: bool
) -> Bool[np.ndarray, "q r"] | None:
    """Which references a query may find; None for all of them."""
    numbers = {patient: i for i, patient in enumerate(dict.fromkeys([*references.patient, *queries.patient]))}
    of_query, of_reference = (
        np.array([numbers[p] for p in e.patient], dtype=np.int32) for e in (queries, references)
    )
    if exclude_same_patient:
        return None if not np.isin(of_query, of_reference).any() else of_query[:, None] != of_reference
    itself = {sample: i for i, sample in enumerate(references.sample)}
    first_query = len(references.sample) - len(queries.sample)
    allowed: Bool[np.ndarray, "q r"] = of_query[:, None] == of_reference
    allowed[:, :first_query] = True
    allowed[np.arange(len(of_query)), [itself[s] for s in queries.sample]] = False
    return allowed


def hit_rate(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """HR@k of each query = relevant among the first k / k (precision at k); mHR is its mean."""
    return np.asarray(ranking.relevant[:, :k].sum(axis=1) / k)


def average_precision(ranking: Ranking, k: int, normalisation: Normalisation) -> Float[np.ndarray, " q"]:
    """AP@k of each query = Σ_{r ≤ k} relevant_r HR@r / N; mAP is its mean; 0 where N is 0.

    Args:
        ranking: of the queries.
        k: cut-off.
        normalisation: N is `k`; `hits`, the relevant among the first k; or `possible`, min(k, references of the grade).
    """
    relevant = ranking.relevant[:, :k]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    total = (relevant * precision).sum(axis=1)
    by = {
        "k": np.full(len(relevant), k),
        "hits": relevant.sum(axis=1),
        "possible": np.minimum(k, ranking.possible),
    }[normalisation]
    return np.asarray(total / np.maximum(by, 1))


def reciprocal_rank(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """RR@k of each query = 1 / rank of the first relevant reference, 0 where none is among the first k."""
    relevant = ranking.relevant[:, :k]
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def is_retrieval(measure: str) -> bool:
    """True for a measure of this module."""
    return _MEASURE.fullmatch(measure) is not None


def retrieval_measures() -> Iterator[str]:
    """The name of every measure, `macro_` ones included."""
    return (f"{prefix}{kind}@{k}" for k in CUTOFFS for kind in _KINDS for prefix in ("", "macro_"))


def retrieval_means(
    ranking: Ranking, measure: str, grade: int | None = None, weights: Float[np.ndarray, "q b"] | None = None
) -> Float[np.ndarray, " b"]:
    """Σ w value / Σ w over the queries, over those of one grade, or the mean of the grades that have queries (macro).

    Args:
        ranking: of the queries.
        measure: its name.
        grade: only queries of this grade; None for all.
        weights: how often each query counts; one column of ones when left out.

    Raises:
        ValueError: not a measure of this module.
    """
    found = _MEASURE.fullmatch(measure)
    if found is None:
        raise ValueError(
            f"`measure`: must be a measure of retrieval such as {DEFAULT_RETRIEVAL}, got `{measure}`."
        )
    values = _of_queries(ranking, found[2], int(found[3]))
    weights = np.ones((len(values), 1)) if weights is None else weights
    groups = (
        [ranking.grade == g for g in np.unique(ranking.grade)] if found[1] else [_queries_of(ranking, grade)]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [(values[mine] @ weights[mine]) / weights[mine].sum(axis=0) for mine in groups]
    return np.asarray(np.mean(means, axis=0)) if means else np.full(weights.shape[1], np.nan)


def _of_queries(ranking: Ranking, kind: str, k: int) -> Float[np.ndarray, " q"]:
    if kind == "mhr":
        return hit_rate(ranking, k)
    if kind == "mrr":
        return reciprocal_rank(ranking, k)
    by: dict[str, Normalisation] = {"map": "k", "map_hits": "hits", "map_possible": "possible"}
    return average_precision(ranking, k, by[kind])


def _queries_of(ranking: Ranking, grade: int | None) -> Bool[np.ndarray, " q"]:
    return np.ones(len(ranking.grade), dtype=bool) if grade is None else ranking.grade == grade


def retrieval_rows(
    ranking: Ranking, queries: Embeddings, metric: DistanceName, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of SCORES: every measure over all queries (no label), for each grade (its label), and the mean of the grades (`macro_`).

    A grade without queries has no row and no part in the mean.
    """
    same = {
        "trial": queries.trial,
        "head": HEAD,
        "setting": metric,
        "chosen": True,
        "split": queries.split,
        "decision": "none",
    }
    present = [(int(g), labels[g]) for g in np.unique(ranking.grade)]
    rows = []
    for measure in retrieval_measures():
        of_grades = [] if measure.startswith("macro_") else present
        for grade, label in ((None, ""), *of_grades):
            value = float(retrieval_means(ranking, measure, grade)[0])
            rows.append(
                {**same, "metric": measure, "label": label, "value": value, "synthetic": queries.synthetic}
            )
    return rows
