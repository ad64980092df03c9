"""What is left of the chosen trial's validation value on patients that had no part in the choice.

Source: Tsamardinos, Greasidou & Borboudakis 2018, bootstrap correction for the best of many.
Differs: patients are drawn, not samples.
"""

from study.reporting.choice_stability import choice_stability_of
from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, short_name
from study.reporting.networks import network_words, parts_of
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

MAX_RIVALS = 5


class Selection:
    """The value as it stands, the corrected value, and the trials that could as well have been chosen."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with fewer than two complete trials."""
        stability = choice_stability_of(run)
        if stability is None:
            return None
        found = stability.selection
        corrected = Value(value=found.corrected, low=found.low, high=found.high)
        rows = [
            Row("naive", (Text("best validation value, as it stands"), Value(value=found.naive))),
            Row("corrected", (Text("the same, on patients not used to choose"), corrected)),
        ]
        by_share = sorted(zip(found.pick_share, stability.keys, strict=True), reverse=True)
        for share, key in by_share[:MAX_RIVALS]:
            words = f"share of the resamples that choose {key} ({network_words(parts_of(run, key))})"
            rows.append(Row(key, (Text(words), Value(value=float(share)))))
        remark = (
            "The best of many looks better than it is; the corrected value is what to expect of the choice. "
            "The shares say how stable the choice is; they are no probabilities of being the best."
        )
        if run.decided_by(run.objective, "tuned") == "tuned":
            remark += " Thresholds are chosen once, on all patients; their part of the luck is not corrected."
        if stability.num_left_out:
            remark += (
                f" The best {len(stability.keys)} trials take part; {stability.num_left_out} others do not."
            )
        return Table(
            name="selection",
            title="What the choice is worth",
            columns=(Column("what", "", words=True), Column("value", short_name(run.objective))),
            rows=tuple(rows),
            caption=(
                f"{full_name(run.objective).capitalize()} on validation. In each resample of the patients "
                f"the choice is made again.{decisions_sentence(run, [run.objective])}"
            ),
            remarks=(remark,),
            synthetic=run.synthetic,
        )
