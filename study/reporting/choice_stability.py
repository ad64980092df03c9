"""How much of the chosen trial's validation value is luck, computed once for all that show it."""

from dataclasses import dataclass
from functools import lru_cache, partial

from study.evidence.predictions import predictions_of
from study.evidence.retrieval import is_retrieval, retrieval_means
from study.evidence.statistics.selection import Contender, Selection, select, selection_bootstrap
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run

MOST = (
    100  # trials that take part; a trial below the best hundred is never picked in any resample that matters
)


@dataclass(frozen=True)
class ChoiceStability:
    """The selection over the best trials.

    Attributes:
        keys: the trials, in the order of `selection.pick_share`.
        num_left_out: complete trials beyond the best `MOST`.
    """

    selection: Selection
    keys: tuple[str, ...]
    num_left_out: int


@lru_cache(maxsize=8)
def choice_stability_of(run: Run) -> ChoiceStability | None:
    """None with fewer than two complete trials, or where their validation samples differ."""
    ranked = run.ranked[run.ranked["value"].notna()]
    keys = [str(key) for key in ranked.index[:MOST]]
    if len(keys) < 2:
        return None
    found = _by_ranking(run, keys) if is_retrieval(run.objective) else _by_predictions(run, keys)
    return ChoiceStability(*found, max(0, len(ranked) - MOST)) if found else None


def _by_predictions(run: Run, keys: list[str]) -> tuple[Selection, tuple[str, ...]] | None:
    if run.objective not in run.measures:
        return None
    own = {key: run.own_head(key) for key in keys}
    found = predictions_of(
        run.store.read_table("predictions", keys, filters={"split": "val", "head": list(set(own.values()))})
    )
    known = [p.known() for p in found if p.head == own[p.trial]]
    if len(known) < 2 or any(set(p.sample) != set(known[0].sample) for p in known):
        return None
    return selection_bootstrap(run.measures[run.objective], run.kind, known), tuple(p.trial for p in known)


def _by_ranking(run: Run, keys: list[str]) -> tuple[Selection, tuple[str, ...]] | None:
    """The galleries stay whole: queries are resampled, with their patients."""
    found = {key: ranking_of(run, key, "val") for key in keys}
    known = {key: pair for key, pair in found.items() if pair is not None}
    if len(known) < 2 or len({patients for _, patients in known.values()}) > 1:
        return None
    contenders = [
        Contender(
            patients,
            float(retrieval_means(ranking, run.objective)[0]),
            partial(retrieval_means, ranking, run.objective, None),
        )
        for ranking, patients in known.values()
    ]
    return select(contenders, greater_is_better=True), tuple(known)
