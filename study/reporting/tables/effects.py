"""What each option of a part of the network is worth, with the source of each difference.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.effects import effects_of
from study.reporting.measures import full_name, short_name
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, count

FROM_SEARCH = (
    "From the search: the best trial with the option, by validation, against the chosen trial. Each is "
    "one training, and they differ in more than the part, so that the difference is not the part's own."
)
FROM_ABLATION = "From an ablation: one part changed, and all else alike."


class Effects:
    """One row for each option, by part."""

    section = "mattered"

    def build(self, run: Run) -> Table | None:
        """The table; None where no part has two options with test predictions."""
        effects = effects_of(run)
        if not effects:
            return None
        columns = (
            Column("part", "Part", words=True),
            Column("option", "Option", words=True),
            Column("against", "Against", words=True),
            Column("difference", f"Difference in {short_name(run.objective)}"),
            Column("source", "From", words=True),
            Column("trainings", "Trainings"),
        )
        rows = []
        for place, effect in enumerate(effects):
            of_part = (effect.part, effect.where)
            first = not place or of_part != (effects[place - 1].part, effects[place - 1].where)
            source = f"ablation {effect.where}" if effect.source == "ablation" else "search"
            cells = (
                Text(effect.part if first else ""),
                Text(effect.option),
                Text(effect.reference),
                effect.difference,
                Text(source),
                count(effect.trainings),
            )
            rows.append(Row(f"{effect.part}.{effect.where or 'search'}.{effect.option}", cells, lead=first))
        sources = {effect.source for effect in effects}
        remarks = [FROM_ABLATION] if "ablation" in sources else []
        remarks += [FROM_SEARCH] if "search" in sources else []
        return Table(
            name="effects",
            title="What each option is worth",
            columns=columns,
            rows=tuple(rows),
            caption=(
                f"Paired differences in {full_name(run.objective)} on the test patients, with 95 % "
                "intervals; they are not corrected for their number."
            ),
            remarks=tuple(remarks),
            synthetic=run.synthetic,
        )
