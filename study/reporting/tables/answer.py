"""The numbers of the answer, which the first lines of the page say in words.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.answer import answer_of
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text


class AnswerTable:
    """One row for each number of the answer."""

    section = "summary"

    def build(self, run: Run) -> Table | None:
        """The table; None where there is no answer."""
        found = answer_of(run)
        if found is None:
            return None
        return Table(
            name="answer",
            title="The numbers of the answer",
            columns=(Column("what", "", words=True), Column("value", short_name(run.objective))),
            rows=tuple(Row(key, (Text(found.titles[key]), cell)) for key, cell in found.numbers.items()),
            caption=f"{full_name(run.objective).capitalize()}; paired differences on the same patients.",
            remarks=("With each number: its 95 % interval over patients.",),
            synthetic=run.synthetic,
        )
