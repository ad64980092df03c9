"""Trials that did not finish, grouped by what happened to them.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, count

MAX_KEYS = 5


class Outcomes:
    """Failed and pruned trials with their messages."""

    section = "outcomes"

    def build(self, run: Run) -> Table | None:
        """The table; None where every trial is complete."""
        lost = run.trials[run.trials["state"] != "complete"].fillna({"outcome": "", "message": ""})
        if lost.empty:
            return None
        rows = []
        for i, (what, trials) in enumerate(lost.groupby(["state", "outcome", "message"]), 1):
            state, outcome, message = map(str, what)
            cells = (
                Text(state),
                Text(outcome.replace("_", " ")),
                count(len(trials)),
                Text(_listed([str(key) for key in trials.index])),
                Text(message),
            )
            rows.append(Row(f"group{i}", cells))
        columns = (
            Column("state", "State", words=True),
            Column("outcome", "Outcome", words=True),
            Column("count", "Trials"),
            Column("which", "Which", words=True),
            Column("message", "Message", words=True),
        )
        return Table(
            name="outcomes",
            title="Trials that did not finish",
            columns=columns,
            rows=tuple(rows),
            synthetic=run.synthetic,
        )


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - MAX_KEYS} more" if len(keys) > MAX_KEYS else ""
    return ", ".join(keys[:MAX_KEYS]) + more
