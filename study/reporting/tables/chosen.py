"""The chosen trial on the test split, with what knows nothing of the image and what was not trained.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.measures import headline, long, short
from study.reporting.results import measured
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import Column, Origin, Row, Table, Text


class Chosen:
    """Chosen trial, untrained network, class prior."""

    section = "summary"

    def build(self, run: Run) -> Table | None:
        """The table; None where no trial is complete."""
        if run.best is None:
            return None
        tests = headline(run.kind, run.objective)
        named = [("chosen", f"Chosen trial ({run.best})", run.best)]
        named += [("untrained", "Untrained network", key) for key in [run.baseline("untrained")] if key]
        named += [("prior", "Class prior", key) for key in [run.baseline("prior")] if key]
        rows = tuple(
            Row(name, (Text(title), *(measured(run, Origin((key,), m)) for m in tests)))
            for name, title, key in named
        )
        columns = (Column("what", "", words=True), *(Column(m, short(m), help=long(m)) for m in tests))
        caption = "Test split, threshold one half. The class prior gives every patient the training set's share of each label."
        title = "The chosen trial beside two that did not learn"
        remark = "With each number: its 95 % interval from resampled patients."
        table = Table("chosen", title, columns, rows, caption, (remark,), run.synthetic)
        return with_bold(run, table, "chosen", [name for name, _, _ in named[1:]], "the chosen trial")
