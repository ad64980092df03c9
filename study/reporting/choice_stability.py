"""How much of the chosen trial's validation value is luck, computed once for all that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from study.evidence.predictions import predictions_of
from study.evidence.retrieval import Ranking, is_retrieval, retrieval_means
from study.evidence.statistics.estimate import Estimate, Support, combined
from study.evidence.statistics.jackknife import LeftOut
from study.evidence.statistics.selection import SelectableTrial, Selection, select, selection_bootstrap
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run

MAX_CONTENDERS = 100  # a trial below the best hundred wins in no resample that matters


@dataclass(frozen=True)
class ChoiceStability:
    """The choice among the best trials, repeated in resamples of the patients.

    Attributes:
        selection: What the resamples say.
        keys: Keys of the trials, in the order of `selection.pick_share`.
        num_left_out: Number of complete trials beyond the best `MAX_CONTENDERS`.
    """

    selection: Selection
    keys: tuple[str, ...]
    num_left_out: int


@lru_cache(maxsize=8)
def choice_stability_of(run: Run) -> ChoiceStability | None:
    """The run's; None with fewer than two complete trials, or where their validation samples differ."""
    ranked = run.ranked[run.ranked["value"].notna()]
    keys = [str(key) for key in ranked.index[:MAX_CONTENDERS]]
    if len(keys) < 2:
        return None
    found = _by_ranking(run, keys) if is_retrieval(run.objective) else _by_predictions(run, keys)
    if found is None:
        return None
    selection, known = found
    return ChoiceStability(selection, known, max(0, len(ranked) - MAX_CONTENDERS))


def _by_predictions(run: Run, keys: list[str]) -> tuple[Selection, tuple[str, ...]] | None:
    if run.objective not in run.measures:
        return None
    own = {key: run.own_head(key) for key in keys}
    filters = {"split": "val", "head": list(set(own.values()))}
    found = predictions_of(run.store.read_table("predictions", keys, filters=filters))
    known = [p.known() for p in found if p.head == own[p.trial]]
    if len(known) < 2 or any(set(p.sample) != set(known[0].sample) for p in known):
        return None
    selection = selection_bootstrap(run.measures[run.objective], run.kind, known, run.thresholds)
    return selection, tuple(p.trial for p in known)


def _by_ranking(run: Run, keys: list[str]) -> tuple[Selection, tuple[str, ...]] | None:
    """As by predictions: queries are resampled with their patients, and the galleries stay whole."""
    found = {key: ranking_of(run, key, "val") for key in keys}
    known = {key: pair for key, pair in found.items() if pair is not None}
    if len(known) < 2 or len({patients for _, patients in known.values()}) > 1:
        return None
    trials = [_selectable(run, *pair) for pair in known.values()]
    return select(trials, greater_is_better=True), tuple(known)


def _selectable(run: Run, ranking: Ranking, patients: Sequence[str]) -> SelectableTrial:
    values = partial(retrieval_means, ranking, run.objective, None)
    value = retrieval_means(ranking, run.objective)

    def estimate(left_out: LeftOut) -> Estimate:
        return combined(value, values(left_out.weights(patients))[None], np.zeros(1, int), Support())

    return SelectableTrial(patients, float(value[0]), values, estimate)
