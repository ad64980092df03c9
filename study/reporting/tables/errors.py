"""The samples of the test split on which the chosen trial is most wrong.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.predictions import Predictions
from study.reporting.deciding import decided, threshold_words
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

MAX_SAMPLES = 24


class Errors:
    """One row for each sample with a wrong label, the greatest loss first."""

    section = "errors"

    def build(self, run: Run) -> Table | None:
        """The table; None where the chosen trial has no test predictions, or no wrong one."""
        judged = decided(run, run.best) if run.best else None
        if judged is None:
            return None
        found, called = judged.predictions, judged.decision
        wrong = (called != (found.target > 0)).any(axis=1)
        if not wrong.any():
            return None
        score = np.clip(found.score.astype(np.float64), 1e-6, 1 - 1e-6)
        loss = -np.where(found.target > 0, np.log(score), np.log(1 - score)).mean(axis=1)
        order = np.argsort(-loss, kind="stable")
        shown = order[wrong[order]][:MAX_SAMPLES]
        how = threshold_words(run)
        rows = [_row(run, found, called[i], score[i], float(loss[i]), place=int(i)) for i in shown]
        columns = (
            Column("sample", "Sample", words=True),
            Column("patient", "Patient", words=True),
            Column("true", "True", words=True),
            Column("missed", "Missed (score)", words=True),
            Column("invented", "Wrongly called (score)", words=True),
            Column("loss", "Loss", help="Mean binary cross-entropy over the labels"),
        )
        return Table(
            name="errors",
            title="The samples that are most wrong",
            columns=columns,
            rows=tuple(rows),
            caption=(
                f"Test split, {found.trial}: {int(wrong.sum())} of {len(wrong)} samples have at least one "
                f"wrong label{how and f', decided {how}'}. The {len(rows)} with the greatest loss."
            ),
            synthetic=run.synthetic,
        )


def _row(
    run: Run,
    found: Predictions,
    called: Bool[np.ndarray, " l"],
    score: Float[np.ndarray, " l"],
    loss: float,
    *,
    place: int,
) -> Row:
    """The row of the sample at a place of the predictions."""
    true = found.target[place] > 0

    def scored(labels: Bool[np.ndarray, " l"]) -> Iterable[str]:
        return (f"{run.labels[j]} ({score[j]:.2f})" for j in np.flatnonzero(labels))

    cells = (
        Text(found.sample[place]),
        Text(found.patient[place]),
        Text(", ".join(run.labels[j] for j in np.flatnonzero(true))),
        Text(", ".join(scored(true & ~called))),
        Text(", ".join(scored(~true & called))),
        Value(value=loss),
    )
    return Row(found.sample[place], cells)
