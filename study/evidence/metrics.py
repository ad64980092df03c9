"""The metrics of a study by name: what each needs, which way it is better, and its value.

A metric is undefined (NaN) where no sample carries its label; an aggregate over labels is the mean over the
labels that have a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Num

from study.evidence.decisions import decide_validation
from study.evidence.evaluation import Evaluation, mean_over_labels
from study.spec.errors import SpecError, suggest
from study.spec.task import LabelKind, ThresholdRule

DEFAULT_OBJECTIVE: Mapping[LabelKind, str] = {
    "multilabel": "macro_average_precision",
    "classes": "balanced_accuracy",
    "grades": "quadratic_kappa",
}

Decided = Literal["decided", "carriers and decided"]
ShareOf = Literal["", "samples", "carriers", "carriers found", "others", "pairs"] | Decided


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number, or one number for each label, that says how good an evaluation is.

    Attributes:
        name: Name of the metric, as in SCORES; a per-label metric `f1` has the aggregate `macro_f1`.
        needs: `decision` when the value changes with the thresholds, `score` when it only needs the ranking.
        greater_is_better: False for errors and losses.
        per_label: True when `compute` gives one row for each label.
        lowest: Least possible value, where the greatest is 1; NaN for other bounds.
        share_of: What the number is a share of or bounded by; empty for no share.
        of_labels: True for an aggregate that is a mean over the labels.
        description: One line for tables and the console.
        compute: Gives the values under each weighting of an evaluation.
        mean_of: The per-label metric whose mean over the labels this one is; None for any other.
    """

    name: str
    needs: Literal["decision", "score"]
    greater_is_better: bool = True
    per_label: bool = False
    lowest: float = 0.0
    share_of: ShareOf = ""
    of_labels: bool = False
    description: str
    compute: Callable[[Evaluation], np.ndarray]
    mean_of: "Metric | None" = None


_PER_LABEL = (
    Metric(
        name="precision",
        needs="decision",
        per_label=True,
        share_of="decided",
        description="share of the decided that carry the label",
        compute=lambda e: e.precision,
    ),
    Metric(
        name="recall",
        needs="decision",
        per_label=True,
        share_of="carriers found",
        description="share of the label's carriers that were found (sensitivity)",
        compute=lambda e: e.recall,
    ),
    Metric(
        name="specificity",
        needs="decision",
        per_label=True,
        share_of="others",
        description="share of the others that were left out",
        compute=lambda e: e.specificity,
    ),
    Metric(
        name="f1",
        needs="decision",
        per_label=True,
        share_of="carriers and decided",
        description="harmonic mean of precision and recall",
        compute=lambda e: e.f1,
    ),
    Metric(
        name="kappa",
        needs="decision",
        per_label=True,
        lowest=-1.0,
        description="Cohen's kappa of the label's yes or no",
        compute=lambda e: e.kappa,
    ),
    Metric(
        name="auc",
        needs="score",
        per_label=True,
        share_of="pairs",
        description="area under the ROC curve, label against rest",
        compute=lambda e: e.auc,
    ),
    Metric(
        name="average_precision",
        needs="score",
        per_label=True,
        share_of="carriers",
        description="area under the precision-recall steps",
        compute=lambda e: e.average_precision,
    ),
)
_MULTILABEL = (
    Metric(
        name="odir_kappa",
        needs="decision",
        lowest=-1.0,
        description="ODIR challenge: Cohen's kappa of all flattened decisions",
        compute=lambda e: e.flat_kappa,
    ),
    Metric(
        name="odir_f1",
        needs="decision",
        description="ODIR challenge: its F1, the share of right decisions",
        compute=lambda e: e.element_accuracy,
    ),
    Metric(
        name="odir_auc",
        needs="score",
        description="ODIR challenge: AUC of all flattened scores",
        compute=lambda e: e.flat_auc,
    ),
    Metric(
        name="odir_final",
        needs="decision",
        lowest=-1 / 3,
        description="ODIR challenge: mean of odir_kappa, odir_f1 and odir_auc",
        compute=lambda e: (e.flat_kappa + e.element_accuracy + e.flat_auc) / 3,
    ),
    Metric(
        name="micro_precision",
        needs="decision",
        description="precision of all labels' decisions pooled",
        compute=lambda e: e.micro_precision,
    ),
    Metric(
        name="micro_recall",
        needs="decision",
        description="recall of all labels' decisions pooled",
        compute=lambda e: e.micro_recall,
    ),
    Metric(
        name="micro_f1",
        needs="decision",
        description="F1 of all labels' decisions pooled",
        compute=lambda e: e.micro_f1,
    ),
    Metric(
        name="micro_auc",
        needs="score",
        description="AUC of all labels' scores pooled (the same as odir_auc)",
        compute=lambda e: e.flat_auc,
    ),
    Metric(
        name="micro_average_precision",
        needs="score",
        description="average precision of all scores pooled",
        compute=lambda e: e.flat_average_precision,
    ),
    Metric(
        name="exact_match",
        needs="decision",
        share_of="samples",
        description="share of samples with every label right",
        compute=lambda e: e.exact_match,
    ),
    Metric(
        name="hamming_loss",
        needs="decision",
        greater_is_better=False,
        description="share of wrong decisions (1 - odir_f1)",
        compute=lambda e: 1 - e.element_accuracy,
    ),
    Metric(
        name="sample_jaccard",
        needs="decision",
        description="mean overlap of true and decided label sets",
        compute=lambda e: e.sample_jaccard,
    ),
)
_CLASSES = (
    Metric(
        name="accuracy",
        needs="decision",
        share_of="samples",
        description="share of samples with the right class",
        compute=lambda e: e.exact_match,
    ),
    Metric(
        name="balanced_accuracy",
        needs="decision",
        of_labels=True,
        description="mean recall over the classes",
        compute=lambda e: mean_over_labels(e.recall),
    ),
    Metric(
        name="cohen_kappa",
        needs="decision",
        lowest=-1.0,
        description="Cohen's kappa over the classes",
        compute=lambda e: e.cohen_kappa,
    ),
)
_GRADES = (
    Metric(
        name="quadratic_kappa",
        needs="decision",
        lowest=-1.0,
        description="Cohen's kappa with quadratic weights",
        compute=lambda e: e.quadratic_kappa,
    ),
    Metric(
        name="mean_absolute_error",
        needs="decision",
        greater_is_better=False,
        lowest=float("nan"),
        description="mean distance in grades",
        compute=lambda e: e.mean_absolute_error,
    ),
)


def _macro(metric: Metric) -> Metric:
    """The mean over labels of a per-label metric."""
    return Metric(
        name=f"macro_{metric.name}",
        needs=metric.needs,
        lowest=metric.lowest,
        of_labels=True,
        description=f"mean over labels of {metric.name}: {metric.description}",
        compute=lambda e: mean_over_labels(metric.compute(e)),
        mean_of=metric,
    )


@cache
def metrics_of(kind: LabelKind) -> Mapping[str, Metric]:
    """All metrics of a kind of labels by name, aggregates first, per-label ones last."""
    own = {"multilabel": _MULTILABEL, "classes": _CLASSES, "grades": _CLASSES + _GRADES}[kind]
    return {m.name: m for m in (*own, *map(_macro, _PER_LABEL), *_PER_LABEL)}


def aggregate_metric(name: str, kind: LabelKind, where: str) -> Metric:
    """The metric of that name, which must give one number.

    Args:
        name: Name of the metric.
        kind: Kind of the labels.
        where: Key or parameter that an error names.

    Raises:
        SpecError: The kind has no aggregate metric of that name.
    """
    known = {m.name: m for m in metrics_of(kind).values() if not m.per_label}
    if name not in known:
        raise SpecError(f"`{where}`: must be a metric of {kind} data, got `{name}`. {suggest(name, known)}")
    return known[name]


def metric_value(
    name: str,
    kind: LabelKind,
    target: Num[np.ndarray, "n l"],
    score: Float[np.ndarray, "n l"],
    rule: ThresholdRule,
) -> float:
    """The value of an aggregate metric on validation, with decisions at the thresholds chosen there.

    NaN where it is undefined, and where a score is not finite (a network that has diverged).

    Raises:
        SpecError: The kind has no aggregate metric of that name.
    """
    metric = aggregate_metric(name, kind, "name")
    if not np.isfinite(score).all():
        return float("nan")
    decision = decide_validation(target, score, kind, rule) if metric.needs == "decision" else None
    return float(metric.compute(Evaluation(target, score, decision))[0])


def metric_values(
    kind: LabelKind,
    target: Num[np.ndarray, "n l"],
    score: Float[np.ndarray, "n l"],
    decision: Bool[np.ndarray, "n l"],
) -> dict[str, Float[np.ndarray, " m"]]:
    """The values of all metrics of the kind by name: one number for an aggregate, one for each label else."""
    evaluation = Evaluation(target, score, decision)
    return {name: metric.compute(evaluation)[..., 0].reshape(-1) for name, metric in metrics_of(kind).items()}
