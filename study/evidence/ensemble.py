"""An ensemble of trained networks, chosen greedily from their predictions of the validation split.

Source: Caruana, Niculescu-Mizil, Crew, Ksikes 2004, Ensemble selection from libraries of models: forward
selection with replacement.
Differs: the library holds the best trials alone, and the ensemble is that of the best step, not of the last.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from study.evidence.metrics import metric_value
from study.evidence.predictions import Predictions
from study.spec.task import LabelKind, ThresholdRule

ENSEMBLE = "ensemble"  # the head of the mean of several trials' scores
LIBRARY = 50  # best trials that may be members
STEPS = 25  # members, counted with repetition


def select_members(
    library: Mapping[str, Predictions], measure: str, kind: LabelKind, rule: ThresholdRule
) -> tuple[dict[str, float], float]:
    """The weights of the members and the ensemble's value on validation.

    Each step adds the trial whose scores improve the mean most; a trial may be added again. Of equal values
    the trial that stands first in the library, and the earlier step, win.

    Args:
        library: Validation predictions of trials, the best first, of the same samples in the same order.
        measure: Metric whose greater values are better.
        kind: Kind of the labels.
        rule: Rule of the thresholds.

    Returns:
        the weights, which add up to 1, by trial, the greatest first; and the value.
    """
    trials = list(library)
    scores = np.stack([library[trial].score.astype(np.float64) for trial in trials])
    target = library[trials[0]].target
    total, added, best = np.zeros_like(scores[0]), list[int](), (-np.inf, 0)
    for step in range(1, STEPS + 1):
        values = [metric_value(measure, kind, target, (total + score) / step, rule) for score in scores]
        chosen = int(np.nanargmax(values))
        added.append(chosen)
        total += scores[chosen]
        best = max(best, (values[chosen], -step))
    value, length = best[0], -best[1]
    counts = Counter(trials[i] for i in added[:length])
    return {trial: count / length for trial, count in counts.most_common()}, value


def mean_predictions(members: Sequence[Predictions], weights: Sequence[float], trial: str) -> Predictions:
    """The weighted mean of the members' scores as the predictions of a trial.

    Raises:
        ValueError: The members predict different samples.
    """
    first = members[0]
    if any(list(member.sample) != list(first.sample) for member in members):
        raise ValueError("`members`: must predict the same samples in the same order.")
    score = np.average([member.score.astype(np.float64) for member in members], axis=0, weights=weights)
    return replace(first, trial=trial, head=ENSEMBLE, setting="", score=score.astype(np.float32))
