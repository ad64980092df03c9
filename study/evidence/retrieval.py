"""Retrieval: are the nearest references of the same grade as the query?

Names of the measures, where k is 5, 10, 20 or 50:

    mhr@k           hit rate: relevant references among the first k, divided by k
    mrr@k           1 / rank of the first relevant reference, 0 where none is among the first k
    map@k           average precision divided by k
    map_hits@k      average precision divided by the relevant references among the first k
    map_possible@k  average precision divided by min(k, references of the grade): 1 for a perfect ranking
    macro_…         mean over the grades; without it, mean over all queries, or over those of one grade

Source: the measures of Fang et al. 2023 as their code computes them (mHR, mAP divided by k), without mRR.
Differs: mAP has all three normalisations; references of the query's own patient can be left out; there are
means over grades, because a retriever that always returns the commonest grade has a good mean over queries.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from study.evidence.neighbours import nearest
from study.evidence.predictions import Embeddings
from study.spec.posthoc import DistanceName
from study.spec.task import RetrievalSpec

Normalisation = Literal["k", "hits", "possible"]
CUTOFFS = (5, 10, 20, 50)
RETRIEVAL = "retrieval"  # in the column `head` of SCORES
MACRO = "macro_"  # begins the name of a mean over the grades
DEFAULT_RETRIEVAL = "macro_map_possible@10"
_KINDS = ("mhr", "mrr", "map", "map_hits", "map_possible")
_MEASURE = re.compile(rf"({MACRO})?({'|'.join(_KINDS)})@({'|'.join(map(str, CUTOFFS))})")
_NORMALISATIONS: dict[str, Normalisation] = {"map": "k", "map_hits": "hits", "map_possible": "possible"}


@dataclass(frozen=True)
class Ranking:
    """The nearest references of each query, nearest first.

    Attributes:
        relevant: Whether each reference is of the query's grade; false where no reference is left.
        possible: Number of references of the query's grade.
        grade: Grade of each query.
    """

    relevant: Bool[np.ndarray, "q k"]
    possible: Int[np.ndarray, " q"]
    grade: Int[np.ndarray, " q"]


def rank_references(references: Embeddings, queries: Embeddings, task: RetrievalSpec) -> Ranking:
    """Ranks the references for each query.

    Args:
        references: Samples to search, of one grade (or class) each.
        queries: Samples to search for.
        task: Distance between embeddings, and whether references of the query's own patient are left out.
            Where they are not, the patient's other samples among the queries (the fellow eye) are references
            of this query, as after a split by image.
    """
    references, queries = references.known(), queries.known()
    if not task.exclude_same_patient:
        references = _with_queries(references, queries)
    allowed = _allowed(references, queries, task)
    reference_grade = references.target.argmax(axis=1)
    grade = queries.target.argmax(axis=1)
    found = nearest(references.embedding, queries.embedding, task.distance, max(CUTOFFS), allowed)
    relevant = (reference_grade[found.index] == grade[:, None]) & np.isfinite(found.distance)
    if allowed is None:
        possible = np.bincount(reference_grade, minlength=references.target.shape[1])[grade]
    else:
        possible = ((grade[:, None] == reference_grade) & allowed).sum(axis=1)
    return Ranking(relevant, possible, grade)


def _with_queries(references: Embeddings, queries: Embeddings) -> Embeddings:
    """The references and, after them, the queries."""
    return replace(
        references,
        sample=[*references.sample, *queries.sample],
        patient=[*references.patient, *queries.patient],
        target=np.concatenate([references.target, queries.target]),
        embedding=np.concatenate([references.embedding, queries.embedding]),
        generated=None,
    )


def _allowed(
    references: Embeddings, queries: Embeddings, task: RetrievalSpec
) -> Bool[np.ndarray, "q r"] | None:
    """Which references a query may find; None for all of them."""
    patients = dict.fromkeys([*references.patient, *queries.patient])
    number = {patient: i for i, patient in enumerate(patients)}
    query_patient = np.array([number[patient] for patient in queries.patient], dtype=np.int32)
    reference_patient = np.array([number[patient] for patient in references.patient], dtype=np.int32)
    if task.exclude_same_patient:
        shared = np.isin(query_patient, reference_patient).any()
        return query_patient[:, None] != reference_patient if shared else None
    row = {sample: i for i, sample in enumerate(references.sample)}
    first_query = len(references.sample) - len(queries.sample)
    allowed: Bool[np.ndarray, "q r"] = query_patient[:, None] == reference_patient
    allowed[:, :first_query] = True
    allowed[np.arange(len(query_patient)), [row[sample] for sample in queries.sample]] = False
    return allowed


def hit_rate(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """HR@k of each query = relevant references among the first k / k (precision at k); mHR is its mean."""
    return np.asarray(ranking.relevant[:, :k].sum(axis=1) / k)


def average_precision(ranking: Ranking, k: int, normalisation: Normalisation) -> Float[np.ndarray, " q"]:
    """AP@k of each query = Σ_{r ≤ k} relevant_r HR@r / N; mAP is its mean; 0 where N is 0.

    Args:
        ranking: Ranked references of the queries.
        k: Number of references that count.
        normalisation: What N is: `k`; `hits`, the relevant references among the first k; or `possible`,
            min(k, references of the grade).
    """
    relevant = ranking.relevant[:, :k]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    total = (relevant * precision).sum(axis=1)
    divisors = {
        "k": np.full(len(relevant), k),
        "hits": relevant.sum(axis=1),
        "possible": np.minimum(k, ranking.possible),
    }
    return np.asarray(total / np.maximum(divisors[normalisation], 1))


def reciprocal_rank(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """RR@k of each query = 1 / rank of the first relevant reference, 0 where none is among the first k."""
    relevant = ranking.relevant[:, :k]
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def is_retrieval(measure: str) -> bool:
    """True for a measure of this module."""
    return _MEASURE.fullmatch(measure) is not None


def retrieval_measures() -> Iterator[str]:
    """The name of every measure, `macro_` ones included."""
    for k in CUTOFFS:
        for kind in _KINDS:
            yield f"{kind}@{k}"
            yield f"{MACRO}{kind}@{k}"


def retrieval_means(
    ranking: Ranking, measure: str, grade: int | None = None, weights: Float[np.ndarray, "q b"] | None = None
) -> Float[np.ndarray, " b"]:
    """Σ w value / Σ w over the queries or those of one grade; of a `macro_` measure the mean over the grades.

    Only grades that have queries count in the mean over the grades.

    Args:
        ranking: Ranked references of the queries.
        measure: Name of the measure.
        grade: Takes only the queries of this grade; None takes all.
        weights: How often each query counts; one column of ones when left out.

    Raises:
        ValueError: The name is no measure of this module.
    """
    found = _MEASURE.fullmatch(measure)
    if found is None:
        raise ValueError(
            f"`measure`: must be a measure of retrieval such as {DEFAULT_RETRIEVAL}, got `{measure}`."
        )
    macro, kind, k = found.groups()
    values = _values(ranking, kind, int(k))
    weights = np.ones((len(values), 1)) if weights is None else weights
    if macro:
        groups = [ranking.grade == one for one in np.unique(ranking.grade)]
    elif grade is None:
        groups = [np.ones(len(ranking.grade), dtype=bool)]
    else:
        groups = [ranking.grade == grade]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [(values[rows] @ weights[rows]) / weights[rows].sum(axis=0) for rows in groups]
    return np.asarray(np.mean(means, axis=0)) if means else np.full(weights.shape[1], np.nan)


def _values(ranking: Ranking, kind: str, k: int) -> Float[np.ndarray, " q"]:
    """A measure's value of each query."""
    if kind == "mhr":
        return hit_rate(ranking, k)
    if kind == "mrr":
        return reciprocal_rank(ranking, k)
    return average_precision(ranking, k, _NORMALISATIONS[kind])


def retrieval_rows(
    ranking: Ranking, queries: Embeddings, distance: DistanceName, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of SCORES with every measure.

    A measure has a row over all queries, without a label. Unless it is a `macro_` one, it also has a row for
    each grade that has queries, with the grade as its label.

    Args:
        ranking: Ranked references of the queries.
        queries: The queries.
        distance: Distance by which the references are ranked.
        labels: Names of the grades.
    """
    rows = []
    for measure in retrieval_measures():
        of_grades = [] if measure.startswith(MACRO) else [int(grade) for grade in np.unique(ranking.grade)]
        for grade in (None, *of_grades):
            row = {
                "trial": queries.trial,
                "head": RETRIEVAL,
                "setting": distance,
                "chosen": True,
                "split": queries.split,
                "decision": "none",
                "metric": measure,
                "label": "" if grade is None else labels[grade],
                "value": float(retrieval_means(ranking, measure, grade)[0]),
                "synthetic": queries.synthetic,
            }
            rows.append(row)
    return rows
