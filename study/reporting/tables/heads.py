"""Every head on the chosen trial's embedding, each at the setting that was best on validation.

Source: as SVK_MA (Tan, Dong & Li 2023) compares classifiers on one embedding.
Differs: settings are chosen on validation; any kind of data.
"""

from study.reporting.measures import headline, long, short
from study.reporting.results import head_name, measured
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import Column, Origin, Row, Table, Text


class Heads:
    """One row a head, the best on validation first."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None where the chosen trial has one head only."""
        heads = run.heads(run.best) if run.best else []
        if run.best is None or len(heads) < 2:
            return None
        tests = headline(run.kind, run.head_measure)
        rows = []
        for choice in heads:
            validation = measured(
                run, Origin((run.best,), run.head_measure, choice.head, split="val"), interval=False
            )
            values = (measured(run, Origin((run.best,), measure, choice.head)) for measure in tests)
            rows.append(
                Row(choice.head, (Text(head_name(choice.head)), Text(choice.setting), validation, *values))
            )
        columns = (
            Column("head", "Head", words=True),
            Column("setting", "Setting", words=True),
            Column("validation", f"{short(run.head_measure)}, validation"),
            *(Column(m, short(m), help=long(m)) for m in tests),
        )
        caption = f"Test split, embedding of {run.best}. Settings were chosen by {long(run.head_measure)} on validation."
        remark = "With each test value: its 95 % interval from resampled patients."
        table = Table(
            "heads",
            "Heads on the chosen trial's embedding",
            columns,
            tuple(rows),
            caption,
            (remark,),
            run.synthetic,
        )
        first, *others = [choice.head for choice in heads]
        return with_bold(run, table, first, others, head_name(first))
