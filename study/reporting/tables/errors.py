"""The patients of the test split on whom the chosen trial is most wrong.

Source: the project's own.
Differs: nothing.
"""

import numpy as np

from study.evidence.score import decisions_of
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

SHOWN = 24


class Errors:
    """One row a sample with a wrong label, the greatest loss first."""

    section = "errors"

    def build(self, run: Run) -> Table | None:
        """The table; None where the chosen trial has no test predictions, or no wrong one."""
        found = run.chosen_predictions()
        if found is None:
            return None
        score = np.clip(found.score.astype(np.float64), 1e-6, 1 - 1e-6)
        loss = -np.where(found.target > 0, np.log(score), np.log(1 - score)).mean(axis=1)
        decision = decisions_of(found, run.kind)[run.decision_rule("half")]
        wrong = (decision != (found.target > 0)).any(axis=1)
        rows = []
        if not wrong.any():
            return None
        order = np.argsort(-loss, kind="stable")
        for i in order[wrong[order]][:SHOWN]:
            missed = [
                self._label(run, int(j), score[i, j])
                for j in np.flatnonzero((found.target[i] > 0) & ~decision[i])
            ]
            invented = [
                self._label(run, int(j), score[i, j])
                for j in np.flatnonzero((found.target[i] == 0) & decision[i])
            ]
            true = ", ".join(run.labels[j] for j in np.flatnonzero(found.target[i] > 0))
            cells = (
                Text(found.sample[i]),
                Text(found.patient[i]),
                Text(true),
                Text(", ".join(missed)),
                Text(", ".join(invented)),
            )
            rows.append(Row(found.sample[i], (*cells, Value(float(loss[i])))))
        columns = (
            Column("sample", "Sample", words=True),
            Column("patient", "Patient", words=True),
            Column("true", "True", words=True),
            Column("missed", "Missed (score)", words=True),
            Column("invented", "Wrongly called (score)", words=True),
            Column("loss", "Loss", help="Mean binary cross-entropy over the labels"),
        )
        caption = (
            f"Test split, {found.trial}: {int(wrong.sum())} of {len(wrong)} samples have at least one wrong label. "
            f"The {len(rows)} with the greatest loss."
        )
        return Table(
            "errors", "Where it is most wrong", columns, tuple(rows), caption, synthetic=run.synthetic
        )

    def _label(self, run: Run, place: int, score: float) -> str:
        return f"{run.labels[place]} ({score:.2f})"
