"""Importance of every parameter of a study, computed once for all figures that show or use it."""

from collections.abc import Collection
from functools import lru_cache

import pandas as pd

from study.evidence.statistics.importance import importance
from study.evidence.statistics.settings import TRIALS, setting_importance
from study.evidence.statistics.shares import COLUMNS
from study.reporting.neighbour_settings import NAMES, neighbour_settings_of
from study.reporting.run import Run


@lru_cache(maxsize=8)
def searched_importance(run: Run) -> pd.DataFrame:
    """The frame of `importance`; without rows for fewer than ten complete trials or nothing searched."""
    complete = run.of_role("search", "complete")
    complete = complete[complete["value"].notna() & bool(run.study["search_space"])]
    params, values = list(complete["params"]), list(complete["value"])
    return importance(params, values, run.study["search_space"])


@lru_cache(maxsize=8)
def neighbour_importance(run: Run) -> pd.DataFrame:
    """The frame of `setting_importance`, by keys of `NAMES`; without rows as above or without neighbours."""
    found = neighbour_settings_of(run)
    return setting_importance(found.values, list(NAMES)) if found else pd.DataFrame(columns=COLUMNS)


def most_important(run: Run, keys: Collection[str], num: int) -> list[str]:
    """The parameters that a figure with room for `num` shows, in the order of the keys.

    A searched parameter counts by its importance times the share of the variance that lies between trials,
    and a parameter of nearest neighbours by its own share. Where too few trials say nothing of importance,
    the parameters of nearest neighbours come first, and then the others in the order of the keys.

    Args:
        run: The run.
        keys: Keys of parameters.
        num: Greatest number of parameters.
    """
    if len(keys) <= num:
        return list(keys)
    of_neighbours = _shares(neighbour_importance(run))
    between = of_neighbours.get(TRIALS, 1.0)
    searched = _shares(searched_importance(run))
    shares = {key: between * share for key, share in searched.items()} | of_neighbours
    first = sorted(keys, key=lambda key: (-shares.get(key, 0.0), key not in NAMES))[:num]
    return [key for key in keys if key in first]


def _shares(rows: pd.DataFrame) -> dict[str, float]:
    return {str(key): float(share) for key, share in zip(rows["parameter"], rows["importance"], strict=True)}


def left_out(run: Run, num_shown: int, num: int) -> str:
    """A sentence for a caption about the parameters that are not shown; empty where all are."""
    if num_shown == num:
        return ""
    too_few = searched_importance(run).empty and neighbour_importance(run).empty
    reason = "the last ones, since too few trials say what matters" if too_few else "the least important"
    return f" {num - num_shown} of the {num} parameters are left out: {reason}."
