"""Whether two parameters of the search depend on each other: the mean of every pair of their options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from study.evidence.statistics.selection import options_of
from study.reporting.importances import searched_importance
from study.reporting.results import parameter_names
from study.reporting.run import Run

MIN_IN_CELL = 3  # trials; with fewer, their other settings decide the mean


@dataclass(frozen=True, kw_only=True)
class PairsOfOptions:
    """The search's trials by the options of two parameters.

    Attributes:
        names: Names of both parameters, that of the rows first.
        options: Their options.
        mean: Mean objective on validation of the trials with each pair; NaN where there are none.
        spread: Standard deviation of the same; NaN for fewer than two trials.
        num_trials: Number of these trials.
        by_chance: Names of those that are not above chance.
    """

    names: tuple[str, str]
    options: tuple[tuple[str, ...], tuple[str, ...]]
    mean: Float[np.ndarray, "r c"]
    spread: Float[np.ndarray, "r c"]
    num_trials: Int[np.ndarray, "r c"]
    by_chance: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether every pair has enough trials."""
        return bool((self.num_trials >= MIN_IN_CELL).all())


@lru_cache(maxsize=8)
def interaction_of(run: Run) -> PairsOfOptions | None:
    """The two parameters of the greatest importance among those that every complete trial has.

    The one with more options stands in the rows. None where fewer than two have a known importance.
    """
    complete = run.of_role("search", "complete")
    complete = complete[complete["value"].notna()]
    importance = searched_importance(run)
    options = _options(list(importance["parameter"]), list(complete["params"]))
    first, second = (*sorted(list(options)[:2], key=lambda name: -len(set(options[name]))), "", "")[:2]
    if not second:
        return None
    kinds = [sorted(set(options[name])) for name in (first, second)]
    trials = pd.DataFrame({"row": options[first], "column": options[second], "value": complete["value"]})
    by_pair = trials.groupby(["row", "column"])["value"]
    pairs = pd.MultiIndex.from_product(kinds)
    shape = len(kinds[0]), len(kinds[1])
    named = parameter_names(run)
    chance = set(importance.loc[~importance["above_noise"].astype(bool), "parameter"])
    return PairsOfOptions(
        names=(named[first], named[second]),
        options=(tuple(text for _, text in kinds[0]), tuple(text for _, text in kinds[1])),
        mean=by_pair.mean().reindex(pairs).to_numpy().reshape(shape),
        spread=by_pair.std().reindex(pairs).to_numpy().reshape(shape),
        num_trials=by_pair.size().reindex(pairs, fill_value=0).to_numpy().reshape(shape),
        by_chance=tuple(named[name] for name in (first, second) if name in chance),
    )


def _options(names: Sequence[str], params: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Any, str]]]:
    """The option of each trial, for each parameter that all trials have and that differs between them."""
    everywhere = [name for name in names if all(name in given for given in params)]
    found = {name: options_of([given[name] for given in params]) for name in everywhere}
    return {name: options for name, options in found.items() if len(set(options)) > 1}


def interaction_sentence(run: Run) -> str:
    """Why the pairs are not shown; empty where they are, or where there are none."""
    found = interaction_of(run)
    if found is None or found.enough:
        return ""
    few = int((found.num_trials < MIN_IN_CELL).sum())
    pairs = f"{few} of the {found.num_trials.size} pairs of their options {'has' if few == 1 else 'have'}"
    return (
        f"Whether {found.names[0]} and {found.names[1]}, the strongest parameters of the search, depend on "
        f"each other cannot be said: {pairs} fewer than {MIN_IN_CELL} complete trials."
    )
