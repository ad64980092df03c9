"""The chosen trial on the test split, beside the class prior and the untrained network.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.measures import full_name, headline, short_name
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
        trials = {"chosen": run.best} | {
            name: key for name in ("untrained", "prior") if (key := run.baseline(name))
        }
        titles = {
            "chosen": f"Chosen trial ({run.best})",
            "untrained": "Untrained network",
            "prior": "Class prior",
        }
        rows = []
        for name, key in trials.items():
            cells = (measured(run, Origin(trials=(key,), measure=measure)) for measure in tests)
            rows.append(Row(name, (Text(titles[name]), *cells)))
        columns = [Column("what", "", words=True)]
        columns += [Column(measure, short_name(measure), help=full_name(measure)) for measure in tests]
        table = Table(
            name="chosen",
            title="The chosen trial beside two that did not learn",
            columns=tuple(columns),
            rows=tuple(rows),
            caption=(
                "Test split, threshold one half. The class prior gives every patient the training set's "
                "share of each label."
            ),
            remarks=("With each number: its 95 % interval from resampled patients.",),
            synthetic=run.synthetic,
        )
        return with_bold(run, table, "chosen", list(trials)[1:], "the chosen trial")
