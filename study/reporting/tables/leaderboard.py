"""All finished trials of the search by their validation value, with test measures beside, and the baselines below.

Source: the project's own.
Differs: nothing.
"""

import math
from typing import Any

from study.reporting.measures import headline, long, short
from study.reporting.results import configuration, head_name, measured
from study.reporting.run import Run
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text, Value

BASELINES = {"prior": "class prior", "untrained": "untrained network"}


class Leaderboard:
    """Ranked by validation; the test columns were not looked at to choose."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was searched and no baseline scored."""
        tests = headline(run.kind, run.objective)
        rows = [self._row(run, str(key), str(rank), configuration(run, str(key)), tests) for rank, key in enumerate(run.ranked.index, 1)]
        for name, title in BASELINES.items():
            if key := run.baseline(name):
                rows.append(self._row(run, key, "", title, tests))
        if not rows:
            return None
        return Table(
            "leaderboard",
            "Leaderboard",
            (
                Column("rank", "#"),
                Column("trial", "Trial", words=True),
                Column("configuration", "Configuration", words=True),
                Column("validation", f"{short(run.objective)}, validation", help=f"{long(run.objective)}, validation split, best epoch"),
                *(Column(m, short(m), help=f"{long(m)}, test split") for m in tests),
                Column("head", "Best head", words=True, help="The head with the best validation value"),
                Column("head_test", f"{short(run.objective)}, best head", help="Its test value"),
                Column("parameters", "Param. (M)", help="Millions of trained numbers"),
                Column("seconds", "Time (s)"),
            ),
            tuple(rows),
            caption=f"Trials by {long(run.objective)} on the validation split; all other measures are of the test split.",
            remarks=self._remarks(run),
            synthetic=run.synthetic,
        )

    def _row(self, run: Run, key: str, rank: str, title: str, tests: tuple[str, ...]) -> Row:
        heads = run.heads(key)
        head = heads[0] if heads else None
        head_test: Cell = NOTHING
        if head:
            head_test = measured(run, Origin((key,), run.objective, head=head.head, setting=head.setting))
        cells: tuple[Cell, ...] = (
            Text(rank),
            Text(key),
            Text(title, quiet=not rank),
            Value(_float(run.of_trial(key, "value"))),
            *(measured(run, Origin((key,), m)) for m in tests),
            Text(head_name(head.head, head.setting) if head else ""),
            head_test,
            Value(_float(run.of_trial(key, "num_parameters")) / 1e6, digits=1),
            Value(_float(run.of_trial(key, "seconds_total")), digits=0),
        )
        return Row(key, cells)

    def _remarks(self, run: Run) -> tuple[str, ...]:
        others = run.trials[(run.trials["role"] == "search") & (run.trials["state"] != "complete")]["state"].value_counts()
        if others.empty:
            return ()
        counts = " and ".join(f"{n} {state}" for state, n in others.items())
        return (f"Not ranked: {counts}. A pruned trial is not a complete one.",)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
