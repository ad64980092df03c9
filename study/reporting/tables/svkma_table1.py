"""SVK_MA's Table 1: its data sets, with ours below them.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 1.
Differs: the paper's images are private, so ours are other ones.
"""

from study.reporting.papers import published
from study.reporting.run import Run
from study.reporting.table import MISSING, Cell, Column, Published, Row, Table, Text, Value


class SvkmaTable1:
    """Numbers of images of each class."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data that have not two classes."""
        paper = published("svkma_table1")
        if run.kind != paper.kind or len(run.labels) != 2:
            return None
        rows = []
        for key, row in paper.rows.items():
            known = [row.values.get(metric) for metric in paper.metrics]
            rows.append(
                Row(
                    key,
                    (
                        Text(row.label),
                        *(
                            Published(v.value, v.derived, 0) if v else Text(MISSING, quiet=True)
                            for v in known
                        ),
                    ),
                )
            )
        rows.append(Row("ours", self._ours(run)))
        columns = (
            Column("set", "", words=True),
            *(Column(key, metric.label) for key, metric in paper.metrics.items()),
        )
        caption = f"Published: {paper.citation}. Ours: {run.study['dataset']}, with {run.labels[0]} under VO and {run.labels[1]} under PVD."
        remarks = (f"Published numbers: {paper.source}.", f"{MISSING} not known to us.", *paper.remarks)
        return Table(
            paper.name,
            f"{paper.paper}, {paper.number}: {paper.title}",
            columns,
            tuple(rows),
            caption,
            remarks,
            run.synthetic,
        )

    def _ours(self, run: Run) -> tuple[Cell, ...]:
        counts: dict[str, dict[str, int]] = run.study["split_counts"]
        classes = [sum(split.get(label, 0) for split in counts.values()) for label in run.labels]
        return (
            Text(f"ours ({run.study['dataset']})"),
            *(Value(float(n), digits=0) for n in (*classes, sum(classes))),
        )
