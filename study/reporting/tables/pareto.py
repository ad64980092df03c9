"""The best compromises of a search with several objectives: complete trials that no other one beats in every objective.

Source: the project's own.
Differs: nothing.
"""

import json

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.objectives import COSTS
from study.reporting.measures import long, short
from study.reporting.results import configuration
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value


class Pareto:
    """One row a compromise, by the first objective."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with one objective."""
        found = {str(key): json.loads(row["objectives"] or "{}") for key, row in run.ranked.iterrows()}
        names = list(next(iter(found.values()), {}))
        if len(names) < 2:
            return None
        smaller = np.array(
            [
                name in COSTS or (name in run.measures and not run.measures[name].greater_is_better)
                for name in names
            ]
        )
        values = np.array(
            [[objectives[name] for name in names] for objectives in found.values()], dtype=float
        )
        best = undominated(np.where(smaller, -values, values))
        keys = [key for key, kept in zip(found, best, strict=True) if kept]
        columns = [Column("trial", "Trial", words=True), Column("configuration", "Configuration", words=True)]
        columns += [
            Column(name, f"{short(name)} {'↓' if low else '↑'}")
            for name, low in zip(names, smaller, strict=True)
        ]
        rows = [
            Row(
                key,
                (
                    Text(key),
                    Text(configuration(run, key)),
                    *(_cell(name, found[key][name]) for name in names),
                ),
            )
            for key in keys
        ]
        caption = f"Trials that no other one beats in {' and '.join(long(name) for name in names)} at once; values on validation."
        remark = f"{len(keys)} of {len(found)} complete trials; the others are worse than one of these in every respect."
        return Table(
            "pareto", "Best compromises", tuple(columns), tuple(rows), caption, (remark,), run.synthetic
        )


def undominated(values: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """Rows than which no other is at least as great in every column and greater in one; rows with NaN are never kept."""
    finite = np.isfinite(values).all(axis=1)
    at_least = (values[None] >= values[:, None]).all(axis=-1) & finite[None]
    greater = (values[None] > values[:, None]).any(axis=-1)
    kept: Bool[np.ndarray, " n"] = finite & ~(at_least & greater).any(axis=1)
    return kept


def _cell(name: str, value: float) -> Value:
    return Value(value, digits=0) if name in COSTS else Value(value)
