"""Every head on the chosen trial's embedding, each at the setting that was best on validation.

Source: as SVK_MA (Tan, Dong & Li 2023) compares classifiers on one embedding.
Differs: settings are chosen on validation; any kind of data.
"""

from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, headline, short_name
from study.reporting.results import head_name, measured
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import Column, Origin, Row, Table, Text


class Heads:
    """One row for each head, the best on validation first."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None where the chosen trial has one head only."""
        heads = run.heads(run.best) if run.best else []
        if run.best is None or len(heads) < 2:
            return None
        measure = run.head_measure
        tests = headline(run.kind, measure)
        rows = []
        for choice in heads:
            on_validation = Origin(trials=(run.best,), measure=measure, head=choice.head, split="val")
            on_test = [Origin(trials=(run.best,), measure=test, head=choice.head) for test in tests]
            cells = (
                Text(head_name(choice.head)),
                Text(choice.setting),
                measured(run, on_validation, interval=False),
                *(measured(run, origin) for origin in on_test),
            )
            rows.append(Row(choice.head, cells))
        columns = (
            Column("head", "Head", words=True),
            Column("setting", "Setting", words=True),
            Column("validation", f"{short_name(measure)}, validation"),
            *(Column(test, short_name(test), help=full_name(test)) for test in tests),
        )
        table = Table(
            name="heads",
            title="Heads on the chosen trial's embedding",
            columns=columns,
            rows=tuple(rows),
            caption=(
                f"Test split, embedding of {run.best}. Settings were chosen by {full_name(measure)} on "
                f"validation.{decisions_sentence(run, tests)}"
            ),
            remarks=(
                "With each test value: its 95 % interval from resampled patients.",
                "A value on validation is the best of all settings of its head, and so too good; the test "
                "values took no part in that choice.",
            ),
            synthetic=run.synthetic,
        )
        first, *others = [choice.head for choice in heads]
        return with_bold(run, table, first, others, head_name(first))
