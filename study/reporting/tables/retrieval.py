"""Retrieval by the chosen trial's embedding at every cut-off: mean of the grades, all queries, and by grade.

Source: the measures of Fang et al. 2023, Biomedical Signal Processing and Control 80:104277.
Differs: all normalisations of the average precision, mRR, the mean over the grades; a retriever that always returns the
commonest grade stands beside.
"""

from study.evidence.retrieval import retrieval_measures
from study.reporting.measures import long, short
from study.reporting.results import measured
from study.reporting.retrieval import gallery_of
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Origin, Row, Table, Text


class Retrieval:
    """Two rows a measure: the chosen trial, and the class prior as a retriever."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None for another task."""
        if run.best is None or run.task != "retrieval":
            return None
        prior, rows = run.baseline("prior"), []
        for measure in (m for m in retrieval_measures() if not m.startswith("macro_")):
            rows.append(Row(measure, self._cells(run, run.best, measure, short(measure), run.best)))
            if prior:
                rows.append(
                    Row(
                        f"{measure}.prior",
                        self._cells(run, prior, measure, "", "always the commonest grade"),
                        lead=False,
                    )
                )
        columns = (
            Column("measure", "Measure", words=True),
            Column("who", "", words=True),
            Column("macro", "Mean of grades"),
            Column("all", "All queries"),
            *(Column(f"grade {label}", label) for label in run.labels),
        )
        way = gallery_of(run, run.best)
        own = (
            "nobody finds a sample of the same patient"
            if way.exclude_same_patient
            else "with the query's other eye in its gallery"
        )
        caption = f"Queries are the test split, the gallery is the training split, {own}; ranked by {way.distance} distance."
        remarks = (
            "A retriever that always returns the commonest grade is good over all queries and bad over the grades.",
            "With each number: its 95 % interval from resampled patients.",
        )
        return Table(
            "retrieval",
            "What the chosen trial retrieves",
            columns,
            tuple(rows),
            caption,
            remarks,
            run.synthetic,
        )

    def _cells(self, run: Run, trial: str, measure: str, name: str, who: str) -> tuple[Cell, ...]:
        origins = [Origin((trial,), f"macro_{measure}"), Origin((trial,), measure)]
        origins += [Origin((trial,), measure, label=label) for label in run.labels]
        help_ = (long(measure),) if name else ()
        return (
            Text(name, notes=help_),
            Text(who, quiet=not name),
            *(measured(run, origin) for origin in origins),
        )
