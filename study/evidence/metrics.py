"""The metrics of a study by name: what each needs, which way it is better, and its value.

A metric is undefined (NaN) where its label has no positive sample among the judged ones; an aggregate over labels is
the mean over the labels that have a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Num

from study.evidence.decisions import decide
from study.evidence.evaluation import Evaluation, mean_over_labels
from study.spec.errors import SpecError, suggest

LabelKind = Literal["multilabel", "classes", "grades"]
DEFAULT_OBJECTIVE: Mapping[LabelKind, str] = {
    "multilabel": "macro_average_precision",
    "classes": "balanced_accuracy",
    "grades": "quadratic_kappa",
}


@dataclass(frozen=True)
class Metric:
    """One number (or one a label) that says how good an evaluation is.

    Attributes:
        name: the metric's column name; a per-label metric `f1` has the aggregate `macro_f1`.
        needs: `decision` when it changes with the thresholds, `score` when it only needs the ranking.
        greater_is_better: false for errors and losses.
        per_label: true when `compute` gives one row for each label.
        description: one line for tables and the console.
        compute: the values under each weighting of an evaluation.
    """

    name: str
    needs: Literal["decision", "score"]
    greater_is_better: bool
    per_label: bool
    description: str
    compute: Callable[[Evaluation], np.ndarray]


_PER_LABEL = (
    Metric(
        "precision",
        "decision",
        True,
        True,
        "share of the decided that carry the label",
        lambda e: e.precision,
    ),
    Metric(
        "recall",
        "decision",
        True,
        True,
        "share of the label's carriers that were found (sensitivity)",
        lambda e: e.recall,
    ),
    Metric(
        "specificity",
        "decision",
        True,
        True,
        "share of the others that were left out",
        lambda e: e.specificity,
    ),
    Metric("f1", "decision", True, True, "harmonic mean of precision and recall", lambda e: e.f1),
    Metric("kappa", "decision", True, True, "Cohen's kappa of the label's yes or no", lambda e: e.kappa),
    Metric("auc", "score", True, True, "area under the ROC curve, label against rest", lambda e: e.auc),
    Metric(
        "average_precision",
        "score",
        True,
        True,
        "area under the precision-recall steps",
        lambda e: e.average_precision,
    ),
)


def _macro(metric: Metric) -> Metric:
    return Metric(
        f"macro_{metric.name}",
        metric.needs,
        True,
        False,
        f"mean over labels of {metric.name}: {metric.description}",
        lambda e: mean_over_labels(metric.compute(e)),
    )


_MULTILABEL = (
    Metric(
        "odir_kappa",
        "decision",
        True,
        False,
        "ODIR challenge: Cohen's kappa of all flattened decisions",
        lambda e: e.flat_kappa,
    ),
    Metric(
        "odir_f1",
        "decision",
        True,
        False,
        "ODIR challenge: its F1, the share of right decisions",
        lambda e: e.element_accuracy,
    ),
    Metric(
        "odir_auc", "score", True, False, "ODIR challenge: AUC of all flattened scores", lambda e: e.flat_auc
    ),
    Metric(
        "odir_final",
        "decision",
        True,
        False,
        "ODIR challenge: mean of odir_kappa, odir_f1 and odir_auc",
        lambda e: (e.flat_kappa + e.element_accuracy + e.flat_auc) / 3,
    ),
    Metric(
        "micro_precision",
        "decision",
        True,
        False,
        "precision of all labels' decisions pooled",
        lambda e: e.micro_precision,
    ),
    Metric(
        "micro_recall",
        "decision",
        True,
        False,
        "recall of all labels' decisions pooled",
        lambda e: e.micro_recall,
    ),
    Metric("micro_f1", "decision", True, False, "F1 of all labels' decisions pooled", lambda e: e.micro_f1),
    Metric(
        "micro_auc",
        "score",
        True,
        False,
        "AUC of all labels' scores pooled (the same as odir_auc)",
        lambda e: e.flat_auc,
    ),
    Metric(
        "micro_average_precision",
        "score",
        True,
        False,
        "average precision of all scores pooled",
        lambda e: e.flat_average_precision,
    ),
    Metric(
        "exact_match",
        "decision",
        True,
        False,
        "share of samples with every label right",
        lambda e: e.exact_match,
    ),
    Metric(
        "hamming_loss",
        "decision",
        False,
        False,
        "share of wrong decisions (1 - odir_f1)",
        lambda e: 1 - e.element_accuracy,
    ),
    Metric(
        "sample_jaccard",
        "decision",
        True,
        False,
        "mean overlap of true and decided label sets",
        lambda e: e.sample_jaccard,
    ),
)
_CLASSES = (
    Metric(
        "accuracy", "decision", True, False, "share of samples with the right class", lambda e: e.exact_match
    ),
    Metric(
        "balanced_accuracy",
        "decision",
        True,
        False,
        "mean recall over the classes",
        lambda e: mean_over_labels(e.recall),
    ),
    Metric("cohen_kappa", "decision", True, False, "Cohen's kappa over the classes", lambda e: e.cohen_kappa),
)
_GRADES = (
    Metric(
        "quadratic_kappa",
        "decision",
        True,
        False,
        "Cohen's kappa with quadratic weights",
        lambda e: e.quadratic_kappa,
    ),
    Metric(
        "mean_absolute_error",
        "decision",
        False,
        False,
        "mean distance in grades",
        lambda e: e.mean_absolute_error,
    ),
)


@cache
def metrics_of(kind: LabelKind) -> Mapping[str, Metric]:
    """All metrics of a kind of task by name, aggregates first, per-label ones last."""
    own = {"multilabel": _MULTILABEL, "classes": _CLASSES, "grades": _CLASSES + _GRADES}[kind]
    return {m.name: m for m in (*own, *map(_macro, _PER_LABEL), *_PER_LABEL)}


def objective_metric(name: str, kind: LabelKind, where: str = "search.objective") -> Metric:
    """The aggregate metric that a study optimises.

    Raises:
        SpecError: the kind has no aggregate metric of that name.
    """
    known = {m.name: m for m in metrics_of(kind).values() if not m.per_label}
    if name not in known:
        raise SpecError(f"`{where}`: must be a metric of {kind} data, got `{name}`. {suggest(name, known)}")
    return known[name]


def objective(
    name: str, kind: LabelKind, target: Num[np.ndarray, "n l"], score: Float[np.ndarray, "n l"]
) -> float:
    """The metric's value with the plain decisions (threshold 0.5 or the greatest score).

    NaN where it is undefined, and where a score is not finite (a network that has diverged).

    Raises:
        SpecError: the kind has no aggregate metric of that name.
    """
    metric = objective_metric(name, kind)
    if not np.isfinite(score).all():
        return float("nan")
    decision = decide(score, kind) if metric.needs == "decision" else None
    return float(metric.compute(Evaluation(target, score, decision))[0])


def values(
    kind: LabelKind,
    target: Num[np.ndarray, "n l"],
    score: Float[np.ndarray, "n l"],
    decision: Bool[np.ndarray, "n l"],
) -> dict[str, Float[np.ndarray, " m"]]:
    """All metrics of the kind: an array of one number for an aggregate, of one number a label for a per-label metric."""
    evaluation = Evaluation(target, score, decision)
    return {name: metric.compute(evaluation)[..., 0].reshape(-1) for name, metric in metrics_of(kind).items()}
