"""Post-hoc heads: classifiers on stored embeddings, at the setting that validation chooses.

Nothing here trains a network. Every head is fitted on the training embeddings, every setting of it is scored
on validation only, and the best setting predicts all splits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from study.evidence import classifiers
from study.evidence.arrow_tables import list_column
from study.evidence.fitting_data import FittingData
from study.evidence.logistic import logistic_path
from study.evidence.metrics import Metric, aggregate_metric
from study.evidence.neighbours import Neighbours, Ties, votes_for_all_k
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.schema import NEIGHBOURS
from study.evidence.score import score_row, score_rows
from study.evidence.sweep import values_of_settings
from study.spec.posthoc import DistanceName, PosthocHead, Votes, head_words, read_head
from study.spec.task import LabelKind, ThresholdRule

_DISTANCES: tuple[DistanceName, ...] = ("euclidean", "cosine")
_VOTES: tuple[Votes, ...] = ("uniform", "distance")
_PENALTIES = (0.001, 0.01, 0.1)  # c of the logistic regression: the smaller, the stronger the penalty
_MARGINS = (1.0, 10.0)  # c of the support vector machine: the smaller, the wider the margin


@dataclass(frozen=True)
class ChosenHead:
    """A head at the setting that validation chose.

    Attributes:
        head: `network`, or a post-hoc head in one word, such as `knn` or `knn k=2`.
        setting: Setting of a post-hoc head, such as `k=5, cosine, uniform`; else empty.
        value: Value of the choosing metric on validation.
    """

    head: str
    setting: str
    value: float


@dataclass
class FittedHeads:
    """What fitting the heads found.

    Attributes:
        predictions: Predictions of each head at its chosen setting, one for each split.
        scores: Rows of SCORES; a setting that was not chosen has one row, with the validation value.
        neighbours: Rows of NEIGHBOURS by the chosen distance of the first head of nearest neighbours; empty
            without one.
        best: The choice for each head, by the head in one word.
    """

    predictions: list[Predictions] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    neighbours: pa.Table = field(default_factory=NEIGHBOURS.empty_table)
    best: dict[str, ChosenHead] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """One setting of a head, fitted.

    Attributes:
        setting: The setting in words.
        val_score: Scores of the validation samples.
        scorer: Gives the scores of other embeddings.
    """

    setting: str
    val_score: Float[np.ndarray, "n l"]
    scorer: classifiers.Scorer


def _knn(
    data: FittingData,
    *,
    ties: Ties,
    k: int | None = None,
    distance: DistanceName | None = None,
    votes: Votes | None = None,
) -> Iterator[_Candidate]:
    num_train = len(data.train)
    for metric in (distance,) if distance else _DISTANCES:
        neighbours = data.neighbours(data.val, metric)
        for vote in (votes,) if votes else _VOTES:
            val_scores = votes_for_all_k(neighbours, data.target, vote, ties, exclusive=data.exclusive)
            for number in (min(k, num_train),) if k else range(1, len(val_scores) + 1):
                yield _Candidate(
                    setting=f"k={number}, {metric}, {vote}",
                    val_score=val_scores[number - 1],
                    scorer=partial(_knn_score, data, number, metric, vote, ties),
                )


def _knn_score(
    data: FittingData,
    k: int,
    distance: DistanceName,
    votes: Votes,
    ties: Ties,
    new: Float[np.ndarray, "n d"],
) -> Float[np.ndarray, "n l"]:
    found = data.neighbours(new, distance)
    first = Neighbours(found.index[:, :k], found.distance[:, :k])
    return np.asarray(votes_for_all_k(first, data.target, votes, ties, exclusive=data.exclusive)[k - 1])


def _logistic(data: FittingData, *, c: float | None = None) -> Iterator[_Candidate]:
    penalties = (c,) if c else _PENALTIES
    for strength, model in logistic_path(data.train, data.target, penalties, exclusive=data.exclusive):
        yield _Candidate(setting=f"c={strength:g}", val_score=model.predict(data.val), scorer=model.predict)


def _classifier(
    data: FittingData,
    *,
    make: Callable[..., Any],
    name: str,
    options: Sequence[int | float],
    **fixed: int | float,
) -> Iterator[_Candidate]:
    for option in (fixed[name],) if name in fixed else options:
        make_one = partial(make, option)
        scorer = classifiers.fit_scorer(make_one, data.train, data.target, exclusive=data.exclusive)
        yield _Candidate(setting=f"{name}={option:g}", val_score=scorer(data.val), scorer=scorer)


FITTERS: Mapping[str, Callable[..., Iterable[_Candidate]]] = {
    "knn": partial(_knn, ties="distance"),
    "knn_first": partial(_knn, ties="first"),  # scikit-learn's rule for equal votes
    "logistic_regression": _logistic,
    "svm": partial(_classifier, make=partial(classifiers.svm, scaled=True), name="c", options=_MARGINS),
    "svm_unscaled": partial(
        _classifier, make=partial(classifiers.svm, scaled=False), name="c", options=_MARGINS
    ),
    "random_forest": partial(_classifier, make=classifiers.random_forest, name="min_leaf", options=(1, 5)),
    "gradient_boosting": partial(
        _classifier, make=classifiers.gradient_boosting, name="rounds", options=(50, 100)
    ),
    "gaussian_nb": partial(_classifier, make=classifiers.gaussian_nb, name="smoothing", options=(1e-9, 1e-2)),
}


def fit_heads(
    train: Embeddings,
    queries: Sequence[Embeddings],
    kind: LabelKind,
    labels: Sequence[str],
    heads: Sequence[str],
    chooser: str,
    rule: ThresholdRule,
) -> FittedHeads:
    """Fits every setting of the heads on `train`, chooses by validation, predicts all queries at the choice.

    Of equally good settings the first is taken: Euclidean before cosine, uniform before distance, smallest K.
    A fixed K that is greater than the number of training samples becomes that number.

    Args:
        train: Embeddings of the training samples; those with unknown labels are left out.
        queries: Embeddings of the other splits; one must be `val`.
        kind: Kind of the labels.
        labels: Names of the labels in the order of the columns.
        heads: Post-hoc heads, each in one word.
        chooser: Metric on validation that chooses the settings.
        rule: Rule of the thresholds of the decisions.

    Raises:
        SpecError: A head or the metric is unknown.
        ValueError: The validation split is not among the queries.
    """
    metric, words = aggregate_metric(chooser, kind, "chooser"), head_words(heads)
    val = next((query.known() for query in queries if query.split == "val"), None)
    if val is None:
        raise ValueError("`queries`: must hold the validation split, which chooses the settings.")
    train = train.known()
    data = _fitting_data(train, val, kind)
    found = FittedHeads()
    for head in words:
        best, value, curve = _choose(read_head(head), data, val, kind, metric, rule)
        predictions = [_predict(head, best.setting, query, best.scorer(query.embedding)) for query in queries]
        found.best[head] = ChosenHead(head, best.setting, value)
        found.predictions += predictions
        found.scores += curve + score_rows(predictions, kind, labels, rule)
    first = next((head for head in words if read_head(head).neighbours), None)
    if first:
        distance: DistanceName = "cosine" if "cosine" in found.best[first].setting else "euclidean"
        found.neighbours = _neighbour_table(data, train, queries, distance)
    return found


def choose_settings(
    train: Embeddings,
    val: Embeddings,
    kind: LabelKind,
    heads: Sequence[str],
    chooser: str,
    rule: ThresholdRule,
) -> dict[str, ChosenHead]:
    """The choice for each head, as `fit_heads` makes it.

    Raises:
        SpecError: A head or the metric is unknown.
    """
    val = val.known()
    metric = aggregate_metric(chooser, kind, "chooser")
    data = _fitting_data(train.known(), val, kind)
    found = {}
    for head in head_words(heads):
        best, value, _ = _choose(read_head(head), data, val, kind, metric, rule)
        found[head] = ChosenHead(head, best.setting, value)
    return found


def _fitting_data(train: Embeddings, val: Embeddings, kind: LabelKind) -> FittingData:
    return FittingData(
        train=train.embedding, target=train.target, val=val.embedding, exclusive=kind != "multilabel"
    )


def _choose(
    head: PosthocHead,
    data: FittingData,
    val: Embeddings,
    kind: LabelKind,
    metric: Metric,
    rule: ThresholdRule,
) -> tuple[_Candidate, float, list[dict[str, Any]]]:
    """The best setting on validation, its value there, and the rows of SCORES of all other settings."""
    decision = _stored_decision(metric, kind)
    sign = 1 if metric.greater_is_better else -1
    candidates = list(FITTERS[head.name](data, **head.fixed))
    scores = np.stack([candidate.val_score for candidate in candidates])
    values = values_of_settings(metric.name, kind, val.target, scores, rule)
    quality = np.where(np.isnan(values), -np.inf, sign * values)
    best = int(np.argmax(quality))  # the first of equal ones
    rows = []
    for i, candidate in enumerate(candidates):
        if i != best:
            predictions = _predict(str(head), candidate.setting, val, candidate.val_score)
            rows.append(score_row(predictions, decision, metric.name, float(values[i]), chosen=False))
    return candidates[best], float(values[best]), rows


def _stored_decision(metric: Metric, kind: LabelKind) -> str:
    """How SCORES names the decisions of a setting that was tried."""
    if metric.needs == "score":
        return "none"
    return "tuned" if kind == "multilabel" else "argmax"


def _predict(head: str, setting: str, query: Embeddings, score: Float[np.ndarray, "n l"]) -> Predictions:
    return Predictions(
        trial=query.trial,
        head=head,
        setting=setting,
        split=query.split,
        sample=query.sample,
        patient=query.patient,
        target=query.target,
        score=score,
        synthetic=query.synthetic,
    )


def _neighbour_table(
    data: FittingData, train: Embeddings, queries: Sequence[Embeddings], distance: DistanceName
) -> pa.Table:
    names = np.asarray(train.sample, dtype=object)
    parts = []
    for query in queries:
        near = data.neighbours(query.embedding, distance)
        num_samples = len(query.sample)
        columns = {
            "trial": pa.repeat(pa.scalar(query.trial), num_samples),
            "metric": pa.repeat(pa.scalar(distance), num_samples),
            "split": pa.repeat(pa.scalar(query.split), num_samples),
            "sample": pa.array(query.sample, pa.string()),
            "neighbour": list_column(names[near.index]),
            "distance": list_column(near.distance.astype(np.float32)),
            "synthetic": pa.repeat(pa.scalar(query.synthetic), num_samples),
        }
        parts.append(pa.table(columns, schema=NEIGHBOURS))
    return pa.concat_tables(parts)
