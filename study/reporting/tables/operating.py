"""How many carriers of each label are found when 90 % or 95 % of the other samples must be left alone.

Source: the project's own.
Differs: nothing.
"""

import numpy as np
from jaxtyping import Float, Int8

from study.evidence.statistics.operating import at_specificity, at_threshold
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Row, Table, Text, Value, count

SPECIFICITIES = (0.90, 0.95)
Labelled = tuple[Int8[np.ndarray, " n"], Float[np.ndarray, " n"]]  # target and score of one label


class Operating:
    """Sensitivity at fixed specificity; the thresholds come from validation."""

    section = "chosen"

    def build(self, run: Run) -> Table | None:
        """The table; None where the chosen trial lacks predictions of validation or test."""
        val, test = run.chosen_predictions("val"), run.chosen_predictions()
        if val is None or test is None:
            return None
        rows = []
        for place, label in enumerate(run.labels):
            of_val, of_test = ((p.target[:, place], p.score[:, place]) for p in (val, test))
            cells: list[Cell] = [Text(label), count(of_test[0].sum())]
            for specificity in SPECIFICITIES:
                cells += _cells(of_val, of_test, specificity)
            rows.append(Row(label, tuple(cells)))
        return Table(
            name="operating",
            title="Sensitivity at fixed specificity",
            columns=_columns(),
            rows=tuple(rows),
            caption=(
                f"Test split, {test.trial}. Each threshold was set on validation for the wanted "
                "specificity, which the test split may therefore miss."
            ),
            synthetic=run.synthetic,
        )


def _columns() -> tuple[Column, ...]:
    columns = [Column("label", "Label", words=True), Column("carriers", "Carriers")]
    for specificity in SPECIFICITIES:
        wanted = f"{specificity:.0%}"
        found = "Share of the carriers that are found"
        left_alone = "Share of the others that are left alone, on test"
        columns.append(Column(f"sensitivity{wanted}", f"Sensitivity at {wanted}", help=found))
        columns.append(Column(f"specificity{wanted}", "Specificity reached", help=left_alone))
    return tuple(columns)


def _cells(val: Labelled, test: Labelled, specificity: float) -> list[Cell]:
    """Sensitivity and specificity on test; NaN where validation has only carriers or none."""
    if len(np.unique(val[0])) < 2:
        return [Value(value=np.nan), Value(value=np.nan)]
    threshold = at_specificity(*val, specificity).threshold
    point = at_threshold(*test, threshold)
    return [Value(value=point.sensitivity), Value(value=point.specificity)]
