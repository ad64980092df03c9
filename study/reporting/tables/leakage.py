"""What a leak would be worth: the chosen configuration, trained with and without images of the test patients.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from study.evidence.run_tables import table_of_run
from study.reporting.measures import short_name
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value, count


class Leakage:
    """One line for each metric and way to divide the same photographs; there once the price was asked for."""

    section = "data"

    def build(self, run: Run) -> Table | None:
        """The table; None where `study.audit --run RUN --price` has not run."""
        found = table_of_run(run.store, "leakage").to_dict("records")
        if not found:
            return None
        first = found[0]
        return Table(
            name="leakage",
            title="What a leak would be worth",
            columns=(
                Column("metric", "Metric", words=True),
                Column("split", "Split", words=True),
                Column("leaked", "Training images of test patients"),
                Column("value", "Test"),
                Column("gain", "Gain by the leak"),
                Column("p", "p", help="Two-sided, for this comparison alone"),
            ),
            rows=tuple(map(_row, found)),
            caption=(
                f"The network of {first['trial']} judges each eye by itself, with the labels of that eye. In "
                f"each of {first['divisions']} divisions, three trainings share the test photographs and "
                f"have {first['training_images']:.0f} training photographs; they differ in whether some of "
                "these show a test patient. Intervals are over patients and divisions."
            ),
            synthetic=bool(first["synthetic"]),
        )


def _row(found: Mapping[Hashable, Any]) -> Row:
    gain = Value(value=found["gain"], low=found["gain_low"], high=found["gain_high"], signed=True)
    return Row(
        f"{found['metric']}.{found['split'].replace(' ', '_')}",
        (
            Text(short_name(found["metric"])),
            Text(found["split"]),
            count(round(found["leaked_images"])),
            Value(value=found["value"], low=found["low"], high=found["high"]),
            gain,
            Value(value=found["p"]),
        ),
    )
