"""From predictions to rows of SCORES: every metric on every split, under every decision rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.decisions import HALF, decide, tune_thresholds
from study.evidence.metrics import metric_values, metrics_of
from study.evidence.predictions import Predictions
from study.spec.task import LabelKind, ThresholdRule

SWAP_CHANGE = "swap_change"


def tuned_thresholds(val: Predictions, rule: ThresholdRule) -> Float[np.ndarray, " l"]:
    """The threshold that the rule chooses for each label on the validation predictions.

    Raises:
        ValueError: The predictions are of another split.
    """
    if val.split != "val":
        raise ValueError(f"`val`: thresholds must be tuned on the validation split, got `{val.split}`.")
    known = val.known()
    return tune_thresholds(known.target, known.score, rule)


def _decisions(
    predictions: Predictions, kind: LabelKind, thresholds: Float[np.ndarray, " l"] | None
) -> Mapping[str, Bool[np.ndarray, "n l"]]:
    """The decisions by each rule.

    The rules of multilabel data are `half` and, with thresholds, `tuned`; that of classes and grades is
    `argmax`.

    Args:
        predictions: Predictions to decide on.
        kind: Kind of the labels.
        thresholds: Threshold of each label, tuned on validation; None where there is no validation.
    """
    if kind != "multilabel":
        return {"argmax": decide(predictions.score, kind, HALF)}
    decisions = {"half": decide(predictions.score, kind, HALF)}
    if thresholds is not None:
        decisions["tuned"] = decide(predictions.score, kind, thresholds)
    return decisions


def score_rows(
    splits: Sequence[Predictions], kind: LabelKind, labels: Sequence[str], rule: ThresholdRule
) -> list[dict[str, Any]]:
    """Rows of SCORES of one head of one trial at its chosen setting.

    The thresholds of the `tuned` decisions come from the validation split and are used for all splits;
    without predictions of the validation split there are no tuned rows. Samples with unknown labels are left
    out; a split without any known sample has no rows. An undefined metric has a row with NaN.

    Args:
        splits: Predictions of the head, one for each split.
        kind: Kind of the labels.
        labels: Names of the labels in the order of the columns.
        rule: Rule of the tuned thresholds; unused for classes and grades.
    """
    val = next((predictions for predictions in splits if predictions.split == "val"), None)
    thresholds = tuned_thresholds(val, rule) if kind == "multilabel" and val is not None else None
    rows = []
    for predictions in splits:
        known = predictions.known()
        if known.sample:
            rows += _rows_of_split(known, kind, labels, thresholds)
    return rows


def _rows_of_split(
    predictions: Predictions,
    kind: LabelKind,
    labels: Sequence[str],
    thresholds: Float[np.ndarray, " l"] | None,
) -> list[dict[str, Any]]:
    rows = []
    rank_metrics_written = False  # they are the same under every rule
    for rule, decision in _decisions(predictions, kind, thresholds).items():
        found = metric_values(kind, predictions.target, predictions.score, decision)
        for metric in metrics_of(kind).values():
            ranks = metric.needs == "score"
            if ranks and rank_metrics_written:
                continue
            for label, value in zip(labels if metric.per_label else [""], found[metric.name], strict=True):
                by = "none" if ranks else rule
                rows.append(score_row(predictions, by, metric.name, float(value), label=label))
        rank_metrics_written = True
    return rows


def swap_row(test: Predictions, swapped_score: Float[np.ndarray, "n l"]) -> dict[str, Any]:
    """The row of `swap_change`: mean over samples and labels of |p - p'|, with p' of the mirror image.

    Args:
        test: Predictions of the network.
        swapped_score: Its scores of the same samples with each eye mirrored and in the place of the other.
    """
    return score_row(test, "none", SWAP_CHANGE, float(np.abs(swapped_score - test.score).mean()))


def score_row(
    predictions: Predictions,
    decision: str,
    metric: str,
    value: float,
    *,
    label: str = "",
    chosen: bool = True,
) -> dict[str, Any]:
    """One row of SCORES about the predictions."""
    return {
        "trial": predictions.trial,
        "head": predictions.head,
        "setting": predictions.setting,
        "chosen": chosen,
        "split": predictions.split,
        "decision": decision,
        "metric": metric,
        "label": label,
        "value": value,
        "synthetic": predictions.synthetic,
    }
