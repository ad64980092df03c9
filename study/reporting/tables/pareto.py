"""The best compromises of a search with several objectives: trials that no other one beats in all of them.

Source: the project's own.
Differs: nothing.
"""

import json

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.further_objectives import COSTS
from study.evidence.objective import measure_of
from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run
from study.reporting.settings_chips import common_remark, common_settings, settings_cell
from study.reporting.table import Column, Row, Table, Text, Value, count


class Pareto:
    """One row for each compromise, by the first objective."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with one objective."""
        found = {str(key): json.loads(row["objectives"] or "{}") for key, row in run.ranked.iterrows()}
        names = list(next(iter(found.values()), {}))
        if len(names) < 2:
            return None
        smaller = [_smaller_is_better(run, name) for name in names]
        values = np.array(
            [[objectives[name] for name in names] for objectives in found.values()], dtype=float
        )
        best = undominated(np.where(smaller, -values, values))
        keys = [key for key, is_kept in zip(found, best, strict=True) if is_kept]
        columns = [Column("trial", "Trial", words=True), Column("configuration", "What differs", words=True)]
        for name, low in zip(names, smaller, strict=True):
            columns.append(Column(name, f"{short_name(name)} {'↓' if low else '↑'}"))
        common = common_settings(run, keys)
        rows = []
        for key in keys:
            cells = (_cell(name, found[key][name]) for name in names)
            rows.append(Row(key, (Text(key), settings_cell(run, key, common), *cells)))
        return Table(
            name="pareto",
            title="Best compromises",
            columns=tuple(columns),
            rows=tuple(rows),
            caption=(
                f"Complete trials that no other one beats in {' and '.join(map(full_name, names))} at once; "
                f"values on validation.{decisions_sentence(run, map(measure_of, names))}"
            ),
            remarks=(
                f"{len(keys)} of {len(found)} complete trials; for each of the others, one of these is at "
                "least as good in every objective and better in one.",
                *common_remark(run, common),
            ),
            synthetic=run.synthetic,
        )


def _smaller_is_better(run: Run, objective: str) -> bool:
    if objective in COSTS:
        return True
    return objective in run.measures and not run.measures[objective].greater_is_better


def undominated(values: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """The rows that are kept: no other row is at least as great in every column and greater in one.

    Args:
        values: Greater is better. A row with NaN is never kept.
    """
    finite = np.isfinite(values).all(axis=1)
    at_least = (values[None] >= values[:, None]).all(axis=-1) & finite[None]
    greater = (values[None] > values[:, None]).any(axis=-1)
    kept: Bool[np.ndarray, " n"] = finite & ~(at_least & greater).any(axis=1)
    return kept


def _cell(objective: str, value: float) -> Value:
    return count(value) if objective in COSTS else Value(value=value)
