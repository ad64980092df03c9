"""The values of a metric for many settings of a head at once."""

import numpy as np
from jaxtyping import Float, Num

from study.evidence.decisions import decide_validation
from study.evidence.evaluation import Evaluation, mean_over_labels
from study.evidence.metrics import Metric, aggregate_metric, metric_value
from study.spec.task import LabelKind, ThresholdRule

_CELLS_AT_ONCE = 2**17  # of samples × labels × settings: 1 MB of scores stays in the processor's cache


def values_of_settings(
    name: str,
    kind: LabelKind,
    target: Num[np.ndarray, "n l"],
    scores: Float[np.ndarray, "k n l"],
    rule: ThresholdRule,
) -> Float[np.ndarray, " k"]:
    """`metric_value` of each of several scores of the same samples.

    The labels of many scores are ranked as if they were labels of one, which takes a fraction of the time.

    Raises:
        SpecError: The kind has no aggregate metric of that name.
    """
    per_label = aggregate_metric(name, kind, "name").mean_of
    if per_label is None or target.size == 0:
        return np.array([metric_value(name, kind, target, score, rule) for score in scores])
    values = np.full(len(scores), np.nan)
    finite = np.flatnonzero(np.isfinite(scores).all(axis=(1, 2)))
    at_once = max(1, _CELLS_AT_ONCE // target.size)
    for start in range(0, len(finite), at_once):
        chosen = finite[start : start + at_once]
        values[chosen] = _means_over_labels(per_label, kind, target, scores[chosen], rule)
    return values


def _means_over_labels(
    metric: Metric,
    kind: LabelKind,
    target: Num[np.ndarray, "n l"],
    scores: Float[np.ndarray, "k n l"],
    rule: ThresholdRule,
) -> Float[np.ndarray, " k"]:
    """The mean over labels of a per-label metric, for each of several scores."""
    side_by_side = np.concatenate(list(scores), axis=1)
    decision = None
    if metric.needs == "decision":
        decisions = [decide_validation(target, score, kind, rule) for score in scores]
        decision = np.concatenate(decisions, axis=1)
    evaluation = Evaluation(np.tile(target, (1, len(scores))), side_by_side, decision)
    by_label = metric.compute(evaluation).reshape(len(scores), target.shape[1])
    return np.concatenate([mean_over_labels(values[:, None]) for values in by_label])
