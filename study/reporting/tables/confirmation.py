"""Repeats of the search's best configurations over seeds and folds: how much of a lead is luck.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.measures import headline, long, short
from study.reporting.results import configuration, failed, measured
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Origin, Row, Table, Text, Value


class Confirmation:
    """One row a configuration, in the order of the search; mean and spread over its repeats."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was repeated."""
        repeats = run.of_role("confirm")
        if repeats.empty:
            return None
        tests = headline(run.kind, run.objective)
        rows = []
        for first in [str(key) for key in run.ranked.index if key in set(repeats["variant"])]:
            trials = repeats[repeats["variant"] == first]
            keys = tuple(str(key) for key in trials.index[trials["state"] == "complete"])
            cells: list[Cell] = [
                Text(first),
                Text(configuration(run, first)),
                Value(float(run.of_trial(first, "value"))),
            ]
            if keys:
                cells.append(measured(run, Origin(keys, run.objective, split="val"), interval=False))
                cells += [measured(run, Origin(keys, test), interval=False) for test in tests]
            else:
                cells += [failed(trials)] * (1 + len(tests))
            rows.append(Row(first, (*cells, Value(len(keys), digits=0))))
        columns = (
            Column("trial", "Trial", words=True),
            Column("configuration", "Configuration", words=True),
            Column("search", f"{short(run.objective)} in the search"),
            Column("validation", f"{short(run.objective)}, validation"),
            *(Column(test, short(test)) for test in tests),
            Column("repeats", "Repeats"),
        )
        caption = f"{long(run.objective).capitalize()} on validation as it was in the search and in the repeats, then test measures."
        remark = "Mean and standard deviation over repeats with other seeds and folds. The search's own value is the best of many."
        return Table(
            "confirmation",
            "The best configurations repeated",
            columns,
            tuple(rows),
            caption,
            (remark,),
            run.synthetic,
        )
