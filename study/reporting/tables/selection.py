"""What the choice is worth: the chosen trial's validation value, and what is left of it on patients that had no part in choosing.

Source: Tsamardinos, Greasidou & Borboudakis 2018, bootstrap correction for the best of many.
Differs: patients are drawn, not samples.
"""

from study.reporting.choice_stability import choice_stability_of
from study.reporting.measures import long, short
from study.reporting.results import configuration
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

SHOWN = 5


class Selection:
    """Naive and corrected value, and which trials could as well have been chosen."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with fewer than two complete trials."""
        picking = choice_stability_of(run)
        if picking is None:
            return None
        found = picking.selection
        rows = [
            Row("naive", (Text("best validation value, as it stands"), Value(found.naive))),
            Row(
                "corrected",
                (
                    Text("the same, on patients not used to choose"),
                    Value(found.corrected, found.low, found.high),
                ),
            ),
        ]
        by_share = sorted(zip(found.pick_share, picking.keys, strict=True), reverse=True)[:SHOWN]
        for share, key in by_share:
            name = f"{key} ({configuration(run, key)})"
            rows.append(Row(key, (Text(f"probability that {name} is best"), Value(float(share)))))
        caption = f"{long(run.objective).capitalize()} on validation. In each resample of the patients the whole choice is made again."
        left_out = (
            f" The best {len(picking.keys)} trials take part; {picking.num_left_out} others do not."
            if picking.num_left_out
            else ""
        )
        remark = f"Choosing the best of many flatters; the corrected value is what to expect of the choice.{left_out}"
        columns = (Column("what", "", words=True), Column("value", short(run.objective)))
        return Table(
            "selection", "What the choice is worth", columns, tuple(rows), caption, (remark,), run.synthetic
        )
