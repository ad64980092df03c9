"""Repeats of the search's best configurations over seeds and folds: how much of a lead is luck.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, headline, short_name
from study.reporting.results import failed, measured
from study.reporting.run import Run
from study.reporting.settings_chips import common_remark, common_settings, settings_cell
from study.reporting.table import Cell, Column, Origin, Row, Table, Text, Value, count


class Confirmation:
    """One row for each configuration, in the order of the search: mean and spread over its repeats."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was repeated."""
        repeated = set(run.of_role("confirm")["variant"])
        if not repeated:
            return None
        tests = headline(run.kind, run.objective)
        keys = [str(key) for key in run.ranked.index if key in repeated]
        common = common_settings(run, keys)
        rows = [_row(run, key, settings_cell(run, key, common), tests) for key in keys]
        columns = (
            Column("trial", "Trial", words=True),
            Column("configuration", "What differs", words=True),
            Column("search", f"{short_name(run.objective)} in the search"),
            Column("validation", f"{short_name(run.objective)}, validation"),
            *(Column(test, short_name(test)) for test in tests),
            Column("repeats", "Repeats"),
        )
        return Table(
            name="confirmation",
            title="The best configurations repeated",
            columns=columns,
            rows=tuple(rows),
            caption=(
                f"{full_name(run.objective).capitalize()} on validation in the search and in the repeats, "
                f"then the measures of the test split.{decisions_sentence(run, tests)}"
            ),
            remarks=(
                "Mean and standard deviation over repeats with other seeds and folds. The search's own "
                "value is the best of many.",
                *common_remark(run, common),
            ),
            synthetic=run.synthetic,
        )


def _row(run: Run, first: str, settings: Text, tests: tuple[str, ...]) -> Row:
    """The row of the configuration of a trial of the search."""
    repeats = run.of_role("confirm")
    trials = repeats[repeats["variant"] == first]
    keys = tuple(map(str, trials.index[trials["state"] == "complete"]))
    if keys:
        origins = [Origin(trials=keys, measure=run.objective, split="val")]
        origins += [Origin(trials=keys, measure=test) for test in tests]
        cells = [measured(run, origin, interval=False) for origin in origins]
    else:
        cells = [failed(trials)] * (1 + len(tests))
    in_search: Cell = Value(value=float(run.of_trial(first, "value")))
    names = (Text(first), settings)
    return Row(first, (*names, in_search, *cells, count(len(keys))))
