"""What it would take to see the differences that papers print.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterator
from math import isnan

from study.evidence.statistics.power import LEVEL, POWER, Noise, noise_between
from study.reporting.estimates import estimates_of
from study.reporting.paper_groups import label_of
from study.reporting.papers import PaperMetric, PaperTable, published_tables
from study.reporting.row_trials import RowTrials, row_trials
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Row, Table, Text, Value, count


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
                "correction for several comparisons. The noise is that of our rows; where they have one "
                "seed each, what seeds add to it is not known."
            ),
            synthetic=run.synthetic,
        )


def _rows(run: Run, paper: PaperTable) -> Iterator[Row]:
    if paper.form != "compared" or paper.reference not in paper.rows:
        return
    reference = row_trials(run, paper, paper.reference)
    for key, row in paper.rows.items():
        ours = row_trials(run, paper, key)
        if key == paper.reference or not ours.trials or not reference.trials:
            continue
        for name, metric in paper.metrics.items():
            printed = _printed(paper, key, name)
            noise = _noise(run, metric, ours, reference)
            if printed is not None and noise is not None:
                words = (Text(paper.number), Text(row.label), Text(metric.label))
                yield Row(f"{paper.name}.{key}.{name}", (*words, *_cells(noise, printed, metric)))


def _printed(paper: PaperTable, key: str, metric: str) -> float | None:
    """The difference between two printed numbers; None where one is not printed, or both are equal."""
    own, other = (paper.rows[row].values.get(metric) for row in (paper.reference, key))
    if own is None or other is None or own.derived or other.derived:
        return None
    return own.value - other.value or None


def _noise(run: Run, metric: PaperMetric, ours: RowTrials, reference: RowTrials) -> Noise | None:
    estimates = estimates_of(run)
    measure = metric.measure, metric.decision, label_of(run, metric)
    origins = [row.origin(*measure) for row in (ours, reference)]
    mine, other = (estimates.of(origin) for origin in origins)
    tested = [estimates.predictions(origins[0], trial) for trial in ours.trials]  # of each seed and fold
    patients = {patient for found in tested if found is not None for patient in found.patient}
    return noise_between(mine, other, len(patients)) if mine and other and patients else None


def _cells(noise: Noise, printed: float, metric: PaperMetric) -> tuple[Cell, Cell, Cell]:
    difference = Value(value=printed, signed=True, digits=metric.digits)
    seeds: Text | Value = Text("one seed each", quiet=True)
    if not isnan(noise.of_seeds):
        seeds = _number(noise.seeds_for(printed))
    return difference, _number(noise.patients_for(printed)), seeds


def _number(needed: int | None) -> Text | Value:
    return Text("no number", quiet=True) if needed is None else count(needed)
