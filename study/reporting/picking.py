"""How much of the chosen trial's validation value is luck, computed once for all that show it."""

from dataclasses import dataclass
from functools import lru_cache

from study.evidence.predictions import predictions_of
from study.evidence.statistics.selection import Selection, selection_bootstrap
from study.reporting.run import Run

MOST = 100  # trials that take part; a trial below the best hundred is never picked in any resample that matters


@dataclass(frozen=True)
class Picking:
    """The selection over the best trials.

    Attributes:
        keys: the trials, in the order of `selection.pick_share`.
        num_left_out: complete trials beyond the best `MOST`.
    """

    selection: Selection
    keys: tuple[str, ...]
    num_left_out: int


@lru_cache(maxsize=8)
def picking_of(run: Run) -> Picking | None:
    """None with fewer than two complete trials, or where their validation samples differ."""
    ranked = run.ranked[run.ranked["value"].notna()]
    keys = [str(key) for key in ranked.index[:MOST]]
    if len(keys) < 2 or run.objective not in run.measures:
        return None
    own = {key: run.own_head(key) for key in keys}
    found = predictions_of(run.store.read_table("predictions", keys, filters={"split": "val", "head": list(set(own.values()))}))
    known = [p.known() for p in found if p.head == own[p.trial]]
    if len(known) < 2 or any(set(p.sample) != set(known[0].sample) for p in known):
        return None
    selection = selection_bootstrap(run.measures[run.objective], run.kind, known)
    return Picking(selection, tuple(p.trial for p in known), max(0, len(ranked) - MOST))
