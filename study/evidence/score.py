"""From predictions to rows of `scores.parquet`: every metric, aggregate and per label, on every split, by every rule of decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.decisions import decide, tune_thresholds
from study.evidence.metrics import LabelKind, metrics_of, values
from study.evidence.predictions import Predictions

SWAP_CHANGE = "swap_change"


def tuned_thresholds(val: Predictions) -> Float[np.ndarray, " l"]:
    """The threshold of each label with the best F1 on the validation predictions.

    Raises:
        ValueError: the predictions are of another split.
    """
    if val.split != "val":
        raise ValueError(f"`val`: thresholds must be tuned on the validation split, got `{val.split}`.")
    known = val.known()
    return tune_thresholds(known.target, known.score)


def decisions_of(
    predictions: Predictions, kind: LabelKind, thresholds: Float[np.ndarray, " l"] | None = None
) -> Mapping[str, Bool[np.ndarray, "n l"]]:
    """The decisions by each rule: `half` and, with thresholds, `tuned` for many labels a sample; else `argmax`."""
    if kind != "multilabel":
        return {"argmax": decide(predictions.score, kind)}
    decisions = {"half": decide(predictions.score, kind)}
    if thresholds is not None:
        decisions["tuned"] = decide(predictions.score, kind, thresholds)
    return decisions


def score_rows(splits: Sequence[Predictions], kind: LabelKind, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of SCORES for one head of one trial at its chosen setting.

    Thresholds of the `tuned` decisions come from the validation split among the predictions and are used for all of
    them; without one there are no tuned rows. Samples with unknown labels are left out; a split without any known
    sample has no rows. An undefined metric has a row with NaN.

    Args:
        splits: the head's predictions, one for each split.
        kind: of the task.
        labels: names in the order of the columns.
    """
    val = next((p.known() for p in splits if p.split == "val"), None)
    thresholds = tuned_thresholds(val) if kind == "multilabel" and val is not None else None
    rows = []
    for predictions in (p.known() for p in splits):
        if not len(predictions.sample):
            continue
        ranks_written = False
        for decision, decided in decisions_of(predictions, kind, thresholds).items():
            found = values(kind, predictions.target, predictions.score, decided)
            rows += _rows_of(predictions, decision, found, kind, labels, with_ranks=not ranks_written)
            ranks_written = True
    return rows


def _rows_of(
    predictions: Predictions,
    decision: str,
    found: Mapping[str, np.ndarray],
    kind: LabelKind,
    labels: Sequence[str],
    with_ranks: bool,
) -> list[dict[str, Any]]:
    rows = []
    for metric in metrics_of(kind).values():
        if metric.needs == "score" and not with_ranks:
            continue
        for label, value in zip(labels if metric.per_label else [""], found[metric.name], strict=True):
            by = "none" if metric.needs == "score" else decision
            rows.append(score_row(predictions, by, metric.name, float(value), label=label))
    return rows


def swap_row(test: Predictions, exchanged: Float[np.ndarray, "n l"]) -> dict[str, Any]:
    """The row of `swap_change`: mean over samples and labels of |p - p'|, p' of the patient's mirror image.

    Args:
        test: the network's predictions.
        exchanged: its scores of the same samples with the eyes exchanged and mirrored.
    """
    return score_row(test, "none", SWAP_CHANGE, float(np.abs(exchanged - test.score).mean()))


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
