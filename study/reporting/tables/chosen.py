"""The chosen trial on the test split, beside the class prior and the untrained network.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Sequence

from study.evidence.decisions import Decision
from study.reporting.deciding import threshold_words
from study.reporting.measures import full_name, headline, short_name
from study.reporting.results import measured
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text


class Chosen:
    """Chosen trial, untrained network, class prior; where labels have thresholds, each at one half, too."""

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
            rows.append(Row(name, (Text(titles[name]), *_cells(run, key, tests, "tuned"))))
            if _has_both(run):
                at_half = Text("the same at one half", quiet=True)
                rows.append(Row(f"{name}.half", (at_half, *_cells(run, key, tests, "half")), lead=False))
        columns = [Column("what", "", words=True)]
        columns += [Column(measure, short_name(measure), help=full_name(measure)) for measure in tests]
        table = Table(
            name="chosen",
            title="The chosen trial beside two that did not learn",
            columns=tuple(columns),
            rows=tuple(rows),
            caption=_caption(run),
            remarks=("With each number: its 95 % interval from resampled patients.",),
            synthetic=run.synthetic,
        )
        return with_bold(run, table, "chosen", list(trials)[1:], "the chosen trial")


def _has_both(run: Run) -> bool:
    """Whether decisions at one half differ from the study's own."""
    return run.kind == "multilabel" and run.thresholds != "half"


def _cells(run: Run, trial: str, tests: Sequence[str], decision: Decision) -> list[Cell]:
    """A trial's numbers; at one half only those that need decisions."""
    cells: list[Cell] = []
    for test in tests:
        shown = decision == "tuned" or run.decided_by(test, decision) == "half"
        origin = Origin(trials=(trial,), measure=test, decision=decision)
        cells.append(measured(run, origin) if shown else NOTHING)
    return cells


def _caption(run: Run) -> str:
    decided = threshold_words(run) and f", decided {threshold_words(run)}"
    both = " The line under each takes one half for every label and has no part in the tests."
    return (
        f"Test split{decided}.{both if _has_both(run) else ''} The class prior gives every patient the "
        "training set's share of each label."
    )
