"""Stored scores by trial, found quickly among a million rows."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

ADDRESS = ("head", "split", "decision", "metric", "label")
Address = tuple[str, ...]  # one word for each column of `ADDRESS`


class TrialScores(NamedTuple):
    """The scores of one trial.

    Attributes:
        values: Each score by its address.
        settings: The chosen setting of each head.
    """

    values: dict[Address, float]
    settings: dict[str, str]


class _Words(NamedTuple):
    """A column of few different words: the words, and which of them stands in each row."""

    categories: np.ndarray
    codes: np.ndarray


class ScoreLookup:
    """The scores of a run; a trial's rows are turned into a mapping when it is first asked for.

    Args:
        scores: The table `scores`, each head at its chosen setting.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self._scores = scores
        self._found: dict[str, TrialScores] = {}

    def of(self, trial: str) -> TrialScores:
        """The scores of a trial; empty where it has none."""
        if trial not in self._found:
            rows = self._rows_of_trial.get(trial, np.array([], dtype=int))
            words = {name: column.categories[column.codes[rows]] for name, column in self._columns.items()}
            addresses = zip(*(words[name] for name in ADDRESS), strict=True)
            values = dict(zip(addresses, self._values[rows].tolist(), strict=True))
            self._found[trial] = TrialScores(values, dict(zip(words["head"], words["setting"], strict=True)))
        return self._found[trial]

    @cached_property
    def _rows_of_trial(self) -> dict[str, np.ndarray]:
        groups = self._scores.groupby("trial", observed=True).indices
        return {str(key): np.asarray(rows) for key, rows in groups.items()}

    @cached_property
    def _values(self) -> np.ndarray:
        return self._scores["value"].to_numpy(float)

    @cached_property
    def _columns(self) -> dict[str, _Words]:
        columns = {name: self._scores[name].astype("category").cat for name in (*ADDRESS, "setting")}
        return {
            name: _Words(column.categories.to_numpy(object), column.codes.to_numpy())
            for name, column in columns.items()
        }
