"""What it would take to see the differences that papers print.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterator

from study.evidence.statistics.power import LEVEL, POWER, Noise, noise_between
from study.reporting.estimates import estimates_of
from study.reporting.papers import PaperMetric, PaperTable, published_tables
from study.reporting.row_trials import row_trials
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Origin, Row, Table, Text, Value, count


class Power:
    """One line for each printed difference between a paper's proposal and another row that we ran, too."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None where no paper's table has two rows with numbers of ours."""
        rows = [row for paper in published_tables() for row in _rows(run, paper)]
        if not rows:
            return None
        return Table(
            name="power",
            title="What it takes to see a printed difference",
            columns=(
                Column("table", "Table", words=True),
                Column("row", "Row", words=True),
                Column("metric", "Metric", words=True),
                Column("printed", "Printed difference"),
                Column("patients", "Test patients"),
                Column("seeds", "Seeds"),
            ),
            rows=tuple(rows),
            caption=(
                f"Each paper's own row less the other row, as printed; and how many test patients (with the "
                f"seeds that we have) or how many seeds of each row (with the patients that we have) would "
                f"show a difference of that size with {100 * POWER:.0f} % power at p < {LEVEL:.2f}, before a "
                "correction for several comparisons. The noise is that of our rows."
            ),
            synthetic=run.synthetic,
        )


def _rows(run: Run, paper: PaperTable) -> Iterator[Row]:
    if paper.form != "compared" or paper.reference not in paper.rows:
        return
    reference = row_trials(run, paper, paper.reference).trials
    for key, row in paper.rows.items():
        trials = row_trials(run, paper, key).trials
        if key == paper.reference or not trials or not reference:
            continue
        for name, metric in paper.metrics.items():
            theirs, own = row.values.get(name), paper.rows[paper.reference].values.get(name)
            if theirs is None or own is None or theirs.value == own.value:
                continue
            noise = _noise(run, metric, trials, reference)
            if noise is not None:
                printed = own.value - theirs.value
                words = (Text(paper.number), Text(row.label), Text(metric.label))
                yield Row(f"{paper.name}.{key}.{name}", (*words, *_cells(noise, printed, metric)))


def _noise(
    run: Run, metric: PaperMetric, trials: tuple[str, ...], reference: tuple[str, ...]
) -> Noise | None:
    estimates = estimates_of(run)
    origins = [
        Origin(trials=keys, measure=metric.measure, decision=metric.decision) for keys in (trials, reference)
    ]
    ours, other = (estimates.of(origin) for origin in origins)
    tested = estimates.predictions(origins[0], trials[0])
    if ours is None or other is None or tested is None:
        return None
    return noise_between(ours, other, len(set(tested.patient)))


def _cells(noise: Noise, printed: float, metric: PaperMetric) -> tuple[Cell, Cell, Cell]:
    difference = Value(value=printed, signed=True, digits=metric.digits)
    return difference, _number(noise.patients_for(printed)), _number(noise.seeds_for(printed))


def _number(needed: int | None) -> Cell:
    return Text("no number", quiet=True) if needed is None else count(needed)
