"""Trials that did not finish, grouped by what happened to them.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

SHOWN = 5


class Outcomes:
    """Failed and pruned trials with their messages."""

    section = "outcomes"

    def build(self, run: Run) -> Table | None:
        """The table; None where every trial is complete."""
        lost = run.trials[run.trials["state"] != "complete"]
        if lost.empty:
            return None
        rows = []
        for i, (what, trials) in enumerate(
            lost.fillna({"outcome": "", "message": ""}).groupby(["state", "outcome", "message"]), 1
        ):
            state, outcome, message = map(str, what)
            keys = [str(k) for k in trials.index]
            more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            which = Text(", ".join(keys[:SHOWN]) + more)
            rows.append(
                Row(
                    f"group{i}",
                    (
                        Text(state),
                        Text(outcome.replace("_", " ")),
                        Value(len(keys), digits=0),
                        which,
                        Text(message),
                    ),
                )
            )
        columns = (
            Column("state", "State", words=True),
            Column("outcome", "Outcome", words=True),
            Column("count", "Trials"),
            Column("which", "Which", words=True),
            Column("message", "Message", words=True),
        )
        return Table("outcomes", "Trials that did not finish", columns, tuple(rows), synthetic=run.synthetic)
