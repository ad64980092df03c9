"""A finished trial on other patients, beside what it did on the study's own test patients.

The thresholds are those that the study's validation chose. The patients are others, so the two numbers are
compared by their intervals, never in pairs.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.evidence.decisions import decide
from study.evidence.metrics import metrics_of
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.calibration import reliability
from study.evidence.statistics.estimate import estimate
from study.evidence.statistics.jackknife import LeftOut
from study.spec.task import LabelKind

PREVALENCE, MEAN_SCORE, CALIBRATION = "prevalence", "mean_score", "calibration_error"


def external_test(
    new: Predictions,
    own: Predictions | None,
    kind: LabelKind,
    labels: Sequence[str],
    thresholds: Float[np.ndarray, " l"],
    plain: Predictions | None = None,
) -> pd.DataFrame:
    """Every metric on the new patients, with its 95 % interval, and on the study's test patients.

    Below the metrics follow, for each label, its prevalence, its mean score and the expected calibration
    error of its scores: where prevalence stays and the mean score moves, the images have drifted.

    Args:
        new: Predictions of the new samples; those with unknown labels are left out.
        own: Predictions of the study's test samples by the same head; None where there are none.
        kind: Kind of the labels.
        labels: Names of the labels.
        thresholds: Threshold of each label.
        plain: Predictions of the new samples without their mirror images, where `new` is the mean of both.

    Returns:
        Columns `metric`, `label` (empty for an aggregate), `value`, `low`, `high`, and the same with `test_`
        before them, and with `plain_` where `plain` is given; NaN where a number or an interval cannot be
        given.
    """
    here = _numbers(new.known(), kind, labels, thresholds)
    there = here * np.nan if own is None else _numbers(own.known(), kind, labels, thresholds)
    found = here.join(there.add_prefix("test_"))
    if plain is not None:
        found = found.join(_numbers(plain.known(), kind, labels, thresholds).add_prefix("plain_"))
    return found.reset_index()


def _numbers(
    predictions: Predictions,
    kind: LabelKind,
    labels: Sequence[str],
    thresholds: Float[np.ndarray, " l"],
) -> pd.DataFrame:
    """Value and interval of everything, by metric and label."""
    metrics = list(metrics_of(kind).values())
    decided = DecidedPredictions(predictions, decide(predictions.score, kind, thresholds))
    found = estimate(metrics, [decided], LeftOut(predictions.patient))
    rows: list[tuple[str, str, float, float, float]] = []
    for metric in metrics:
        names = labels if metric.per_label else ("",)
        rows += [
            (metric.name, label, one.value, one.low, one.high)
            for label, one in zip(names, found[metric.name], strict=True)
        ]
    nothing = float("nan")
    for place, label in enumerate(labels):
        happened, score = predictions.target[:, place] > 0, predictions.score[:, place]
        rows += [
            (PREVALENCE, label, float(happened.mean()), nothing, nothing),
            (MEAN_SCORE, label, float(score.mean()), nothing, nothing),
            (CALIBRATION, label, reliability(happened, score).error, nothing, nothing),
        ]
    frame = pd.DataFrame(rows, columns=["metric", "label", "value", "low", "high"])
    return frame.set_index(["metric", "label"])
