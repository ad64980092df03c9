"""All finished trials of the search by their validation value, with test measures beside, and the baselines below.

Source: the project's own.
Differs: nothing.
"""

import math
from typing import Any

from study.reporting.measures import headline, long, short
from study.reporting.results import configuration, head_name, measured
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text, Value

SURE = 10  # best trials that get intervals; more would cost seconds each and be read by nobody
BASELINES = {"prior": "class prior", "untrained": "untrained network"}


class Leaderboard:
    """Ranked by validation; the test columns were not looked at to choose."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was searched and no baseline scored."""
        tests = headline(run.kind, run.objective)
        keys = [str(key) for key in run.ranked.index]
        rows = [
            self._row(run, key, str(rank), configuration(run, key), tests) for rank, key in enumerate(keys, 1)
        ]
        for name, title in BASELINES.items():
            if key := run.baseline(name):
                rows.append(self._row(run, key, "", title, tests))
        if not rows:
            return None
        table = Table(
            "leaderboard",
            "Leaderboard",
            (
                Column("rank", "#"),
                Column("trial", "Trial", words=True),
                Column("configuration", "Configuration", words=True),
                Column(
                    "validation",
                    f"{short(run.objective)}, validation",
                    help=f"{long(run.objective)}, validation split, best epoch",
                ),
                *(Column(m, short(m), help=f"{long(m)}, test split") for m in tests),
                Column("head", "Best head", words=True, help="The head with the best validation value"),
                Column("head_test", f"{short(run.head_measure)}, best head", help="Its test value"),
                Column("parameters", "Param. (M)", help="Millions of trained numbers"),
                Column("seconds", "Time (s)"),
            ),
            tuple(rows),
            caption=f"Trials by {long(run.objective)} on the validation split; all other measures are of the test split.",
            remarks=self._remarks(run),
            synthetic=run.synthetic,
        )
        tested = [row.key for row in rows if row.key in keys[:SURE] or row.key not in keys]
        return with_bold(run, table, tested[0], tested[1:], tested[0])

    def _row(self, run: Run, key: str, rank: str, title: str, tests: tuple[str, ...]) -> Row:
        heads = run.heads(key)
        head = heads[0] if heads else None
        head_test: Cell = NOTHING
        if head:
            head_test = measured(run, Origin((key,), run.head_measure, head=head.head), interval=False)
        cells: tuple[Cell, ...] = (
            Text(rank),
            Text(key),
            Text(title, quiet=not rank),
            Value(float(run.of_trial(key, "value"))),
            *(measured(run, Origin((key,), m), interval=rank == "" or int(rank) <= SURE) for m in tests),
            Text(head_name(head.head, head.setting) if head else ""),
            head_test,
            Value(_float(run.of_trial(key, "num_parameters")) / 1e6, digits=1),
            Value(_float(run.of_trial(key, "seconds_total")), digits=0),
        )
        return Row(key, cells)

    def _remarks(self, run: Run) -> tuple[str, ...]:
        sure = f"The first {SURE} and the baselines have 95 % intervals, from resampled patients."
        others = run.trials[(run.trials["role"] == "search") & (run.trials["state"] != "complete")][
            "state"
        ].value_counts()
        if others.empty:
            return (sure,)
        counts = " and ".join(f"{n} {state}" for state, n in others.items())
        return (sure, f"Not ranked: {counts}. A pruned trial is not a complete one.")


def _float(value: Any) -> float:
    """The number; NaN for null, and for the zero of what was never trained."""
    return float(value) if value else math.nan
