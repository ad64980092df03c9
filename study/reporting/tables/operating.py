"""How many carriers of each label are found when nine in ten, or nineteen in twenty, of the others must be left alone.

Source: the project's own.
Differs: nothing.
"""

import numpy as np

from study.evidence.statistics.operating import at_specificity, at_threshold
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Row, Table, Text, Value

WANTED = (0.90, 0.95)


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
            cells: list[Cell] = [Text(label), Value(float(test.target[:, place].sum()), digits=0)]
            for wanted in WANTED:
                cells += self._cells(
                    val.target[:, place],
                    val.score[:, place],
                    test.target[:, place],
                    test.score[:, place],
                    wanted,
                )
            rows.append(Row(label, tuple(cells)))
        columns = [Column("label", "Label", words=True), Column("carriers", "Carriers")]
        for wanted in WANTED:
            columns.append(
                Column(
                    f"sensitivity{wanted:.0%}",
                    f"Sensitivity at {wanted:.0%}",
                    help="Share of the carriers that are found",
                )
            )
            columns.append(
                Column(
                    f"specificity{wanted:.0%}",
                    "Specificity reached",
                    help="Share of the others that are left alone, on test",
                )
            )
        caption = f"Test split, {test.trial}. Each threshold was set on validation for the wanted specificity, so test may miss it."
        return Table(
            "operating",
            "Sensitivity at fixed specificity",
            tuple(columns),
            tuple(rows),
            caption,
            synthetic=run.synthetic,
        )

    def _cells(
        self,
        target: np.ndarray,
        score: np.ndarray,
        new_target: np.ndarray,
        new_score: np.ndarray,
        wanted: float,
    ) -> list[Cell]:
        if len(np.unique(target)) < 2:
            return [Value(np.nan), Value(np.nan)]
        point = at_threshold(new_target, new_score, at_specificity(target, score, wanted).threshold)
        return [Value(point.sensitivity), Value(point.specificity)]
