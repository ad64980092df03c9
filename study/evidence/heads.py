"""Heads for free: classifiers on the stored embeddings, chosen on validation, reported elsewhere at that choice.

Nothing here trains a network. Every head is fitted on the training embeddings, every setting of it is scored on
validation only, and the best setting predicts the other splits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int8

from study.evidence import classifiers
from study.evidence.conform import list_column
from study.evidence.logistic import logistic_path
from study.evidence.metrics import DEFAULT_OBJECTIVE, LabelKind, Metric, objective, objective_metric
from study.evidence.neighbours import DistanceName, Ties, Votes, nearest, votes_for_all_k
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.schema import NEIGHBOURS
from study.evidence.score import score_row, score_rows
from study.spec.errors import SpecError, suggest


@dataclass(frozen=True)
class Candidate:
    """One setting of a head, fitted: its scores on validation and a function that scores other embeddings."""

    setting: str
    val_score: Float[np.ndarray, "n l"]
    scorer: classifiers.Scorer


@dataclass(frozen=True)
class _Task:
    train: Float[np.ndarray, "r d"]
    target: Int8[np.ndarray, "r l"]
    val: Float[np.ndarray, "n d"]
    exclusive: bool


@dataclass
class FittedHeads:
    """What fitting the heads found.

    Attributes:
        predictions: of each head at its chosen setting, one for each split.
        scores: rows of SCORES; the settings that were not chosen have rows of the choosing and the curve metrics on
            validation only.
        neighbours: rows of NEIGHBOURS of the nearest-neighbour head's chosen distance; empty without that head.
        best: the chosen setting of each head and its objective on validation.
    """

    predictions: list[Predictions] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    neighbours: pa.Table = field(default_factory=NEIGHBOURS.empty_table)
    best: dict[str, tuple[str, float]] = field(default_factory=dict)


def _knn(task: _Task, ties: Ties) -> Iterator[Candidate]:
    metrics: tuple[DistanceName, ...] = ("euclidean", "cosine")
    voting: tuple[Votes, ...] = ("uniform", "distance")
    for metric in metrics:
        neighbours = nearest(task.train, task.val, metric)
        for votes in voting:
            val_scores = votes_for_all_k(neighbours, task.target, votes, ties, task.exclusive)
            for k, val_score in enumerate(val_scores, start=1):
                yield Candidate(
                    f"k={k}, {metric}, {votes}", val_score, partial(_knn_score, task, k, metric, votes, ties)
                )


def _knn_score(
    task: _Task, k: int, metric: DistanceName, votes: Votes, ties: Ties, new: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n l"]:
    return np.asarray(
        votes_for_all_k(nearest(task.train, new, metric, k), task.target, votes, ties, task.exclusive)[k - 1]
    )


def _logistic(task: _Task) -> Iterator[Candidate]:
    for strength, model in logistic_path(task.train, task.target, (0.001, 0.01, 0.1), task.exclusive):
        yield Candidate(f"c={strength:g}", model.predict(task.val), model.predict)


def _classifier(
    task: _Task, make: Callable[..., Any], name: str, options: Sequence[Any], **fixed: Any
) -> Iterator[Candidate]:
    for option in options:
        scorer = classifiers.fit_scorer(
            partial(make, option, **fixed), task.train, task.target, task.exclusive
        )
        yield Candidate(f"{name}={option:g}", scorer(task.val), scorer)


POSTHOC_HEADS: Mapping[str, Callable[[_Task], Iterable[Candidate]]] = {
    "knn": partial(_knn, ties="distance"),
    "knn_first": partial(_knn, ties="first"),  # scikit-learn's rule for equal votes
    "logistic_regression": _logistic,
    "svm": partial(_classifier, make=classifiers.svm, name="c", options=(1.0, 10.0), scaled=True),
    "svm_unscaled": partial(_classifier, make=classifiers.svm, name="c", options=(1.0, 10.0), scaled=False),
    "random_forest": partial(_classifier, make=classifiers.random_forest, name="min_leaf", options=(1, 5)),
    "gradient_boosting": partial(
        _classifier, make=classifiers.gradient_boosting, name="rounds", options=(50, 100)
    ),
    "gaussian_nb": partial(_classifier, make=classifiers.gaussian_nb, name="smoothing", options=(1e-9, 1e-2)),
}
CHEAP_HEADS = ("knn", "logistic_regression")


def fit_heads(
    train: Embeddings,
    queries: Sequence[Embeddings],
    kind: LabelKind,
    labels: Sequence[str],
    heads: Sequence[str] = CHEAP_HEADS,
    objective_name: str | None = None,
    curve_metrics: Sequence[str] = (),
) -> FittedHeads:
    """Fits every setting of the heads on `train`, chooses by validation, predicts all queries at the choice.

    Of equally good settings the first is taken: the smallest K, Euclidean before cosine, uniform before distance.

    Args:
        train: embeddings of the training samples; those with unknown labels are left out.
        queries: embeddings of the other splits; one must be `val`.
        kind: of the task.
        labels: names in the order of the columns.
        heads: names from `POSTHOC_HEADS`.
        objective_name: the metric that chooses; the kind's default when left out.
        curve_metrics: further aggregate metrics of which every setting's validation value is kept.

    Raises:
        SpecError: an unknown head or metric.
        ValueError: no validation split among the queries.
    """
    chooser = objective_metric(objective_name or DEFAULT_OBJECTIVE[kind], kind, "objective_name")
    metrics = [chooser, *(objective_metric(name, kind, "curve_metrics") for name in curve_metrics)]
    known_heads(heads)
    val = next((q.known() for q in queries if q.split == "val"), None)
    if val is None:
        raise ValueError("`queries`: must hold the validation split, which chooses the settings.")
    train = train.known()
    task = _Task(train.embedding, train.target, val.embedding, kind != "multilabel")
    found = FittedHeads()
    for head in heads:
        best, value, curve = _choose(head, task, val, kind, metrics)
        predictions = [_predict(head, best.setting, query, best.scorer(query.embedding)) for query in queries]
        found.best[head] = (best.setting, value)
        found.predictions += predictions
        found.scores += curve + score_rows(predictions, kind, labels)
    if "knn" in found.best:
        found.neighbours = _neighbour_table(
            train, queries, "cosine" if "cosine" in found.best["knn"][0] else "euclidean"
        )
    return found


def best_settings(
    train: Embeddings, val: Embeddings, kind: LabelKind, heads: Sequence[str], objective_name: str
) -> dict[str, tuple[str, float]]:
    """The best setting of each head on validation and its value, as `fit_heads` finds them.

    Raises:
        SpecError: an unknown head or metric.
    """
    train, val = train.known(), val.known()
    task = _Task(train.embedding, train.target, val.embedding, kind != "multilabel")
    metrics = [objective_metric(objective_name, kind, "objective_name")]
    found = {}
    for head in known_heads(heads):
        best, value, _ = _choose(head, task, val, kind, metrics)
        found[head] = (best.setting, value)
    return found


def known_heads(heads: Sequence[str]) -> tuple[str, ...]:
    """The heads themselves, each once; every one there is for `all`.

    Raises:
        SpecError: one is unknown.
    """
    if heads == "all":
        return tuple(POSTHOC_HEADS)
    if unknown := [head for head in heads if head not in POSTHOC_HEADS]:
        raise SpecError(
            f"`heads`: must be post-hoc heads, got `{unknown[0]}`. {suggest(unknown[0], POSTHOC_HEADS)}"
        )
    return tuple(dict.fromkeys(heads))


def _choose(
    head: str, task: _Task, val: Embeddings, kind: LabelKind, metrics: Sequence[Metric]
) -> tuple[Candidate, float, list[dict[str, Any]]]:
    """The setting with the best value of the first metric, that value, and the validation rows of all other settings."""
    sign = 1 if metrics[0].greater_is_better else -1
    best: tuple[float, Candidate] | None = None
    rows: dict[str, list[dict[str, Any]]] = {}
    for candidate in POSTHOC_HEADS[head](task):
        points = [objective(metric.name, kind, val.target, candidate.val_score) for metric in metrics]
        shown = _predict(head, candidate.setting, val, candidate.val_score)
        rows[candidate.setting] = [
            _curve_row(shown, kind, metric, value) for metric, value in zip(metrics, points, strict=True)
        ]
        if best is None or np.isnan(best[0]) or sign * points[0] > sign * best[0]:
            best = (points[0], candidate)
    assert best is not None, "every head has a setting"
    return (
        best[1],
        best[0],
        [row for setting, curve in rows.items() if setting != best[1].setting for row in curve],
    )


def _curve_row(predictions: Predictions, kind: LabelKind, metric: Metric, value: float) -> dict[str, Any]:
    decision = "none" if metric.needs == "score" else "half" if kind == "multilabel" else "argmax"
    return score_row(predictions, decision, metric.name, value, chosen=False)


def _predict(head: str, setting: str, query: Embeddings, score: Float[np.ndarray, "n l"]) -> Predictions:
    return Predictions(
        query.trial,
        head,
        setting,
        query.split,
        query.sample,
        query.patient,
        query.target,
        score,
        query.synthetic,
    )


def _neighbour_table(train: Embeddings, queries: Sequence[Embeddings], metric: DistanceName) -> pa.Table:
    names = np.asarray(train.sample, dtype=object)
    parts = []
    for query in queries:
        near = nearest(train.embedding, query.embedding, metric)
        repeated = {"trial": query.trial, "metric": metric, "split": query.split}
        columns = {
            name: pa.repeat(pa.scalar(value), len(query.sample)) for name, value in repeated.items()
        } | {
            "sample": pa.array(query.sample, pa.string()),
            "neighbour": list_column(names[near.index]),
            "distance": list_column(near.distance.astype(np.float32)),
            "synthetic": pa.repeat(pa.scalar(query.synthetic), len(query.sample)),
        }
        parts.append(pa.table(columns, schema=NEIGHBOURS))
    return pa.concat_tables(parts)
