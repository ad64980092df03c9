"""Retrieval by the chosen trial's embedding at every cut-off: mean of the grades, all queries, and by grade.

Source: the measures of Fang et al. 2023, Biomedical Signal Processing and Control 80:104277.
Differs: all normalisations of the average precision, mRR, the mean over the grades; beside them a retriever
that
always returns the commonest grade.
"""

from study.evidence.retrieval import retrieval_measures
from study.reporting.measures import full_name, short_name
from study.reporting.results import measured
from study.reporting.retrieval import gallery_of
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Origin, Row, Table, Text


class Retrieval:
    """Two rows for each measure: the chosen trial, and the class prior as a retriever."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None for another task."""
        if run.best is None or run.task != "retrieval":
            return None
        prior, rows = run.baseline("prior"), []
        for measure in (m for m in retrieval_measures() if not m.startswith("macro_")):
            name = Text(short_name(measure), notes=(full_name(measure),))
            rows.append(Row(measure, (name, Text(run.best), *_numbers(run, run.best, measure))))
            if prior:
                names = (Text(""), Text("always the commonest grade", quiet=True))
                rows.append(Row(f"{measure}.prior", (*names, *_numbers(run, prior, measure)), lead=False))
        columns = (
            Column("measure", "Measure", words=True),
            Column("who", "", words=True),
            Column("macro", "Mean of grades"),
            Column("all", "All queries"),
            *(Column(f"grade {label}", label) for label in run.labels),
        )
        return Table(
            name="retrieval",
            title="What the chosen trial retrieves",
            columns=columns,
            rows=tuple(rows),
            caption=_caption(run, run.best),
            remarks=(
                "A retriever that always returns the commonest grade is good over all queries and bad over "
                "the grades.",
                "With each number: its 95 % interval from resampled patients.",
            ),
            synthetic=run.synthetic,
        )


def _caption(run: Run, trial: str) -> str:
    gallery = gallery_of(run, trial)
    same_patient = "and may hold the query's other eye"
    if gallery.exclude_same_patient:
        same_patient = "without samples of the query's patient"
    return (
        f"Queries are the test split. The gallery is the training split, {same_patient}; it is ranked by "
        f"{gallery.distance} distance."
    )


def _numbers(run: Run, trial: str, measure: str) -> list[Cell]:
    """The mean of the grades, the mean of all queries, and the mean of each grade."""
    origins = [Origin(trials=(trial,), measure=name) for name in (f"macro_{measure}", measure)]
    origins += [Origin(trials=(trial,), measure=measure, label=label) for label in run.labels]
    return [measured(run, origin) for origin in origins]
