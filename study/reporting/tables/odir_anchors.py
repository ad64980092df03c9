"""Published results on ODIR beside the chosen trial.

Source: as listed in each row; the final score is that of the ODIR-2019 challenge.
Differs: splits differ from row to row, so only the order of magnitude can be compared.
"""

from study.reporting.measures import short
from study.reporting.papers import published
from study.reporting.results import measured
from study.reporting.run import Run
from study.reporting.table import MISSING, UNKNOWN, Cell, Column, Origin, Published, Row, Table, Text

DATASET = "odir5k"


class OdirAnchors:
    """Where the chosen trial stands among published numbers."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for other data."""
        paper = published("odir_anchors")
        if run.best is None or run.kind != paper.kind or run.study["dataset"] != DATASET:
            return None
        named = [("ours", f"this study, chosen trial ({run.best})", run.best)]
        named += [("ours_prior", "this study, class prior", key) for key in [run.baseline("prior")] if key]
        rows = [
            Row(
                name,
                (
                    Text(title),
                    *(
                        measured(run, Origin((key,), m.measure, decision=m.decision))
                        for m in paper.metrics.values()
                    ),
                ),
            )
            for name, title, key in named
        ]
        for key, row in paper.rows.items():
            cells: list[Cell] = []
            for metric in paper.metrics:
                value = row.values.get(metric)
                notes = (f"Derived by us: {value.how}.",) if value and value.derived else ()
                cells.append(Published(value.value, value.derived, notes=notes) if value else UNKNOWN)
            rows.append(Row(key, (Text(row.label), *cells)))
        columns = (
            Column("work", "", words=True),
            *(Column(key, m.label, help=short(m.measure)) for key, m in paper.metrics.items()),
        )
        caption = f"Ours: {DATASET}, test split. Published: {paper.split}."
        remarks = (f"Published numbers: {paper.source}. {MISSING} not known to us.", *paper.remarks)
        return Table(paper.name, paper.title, columns, tuple(rows), caption, remarks, run.synthetic)
