"""The search's best trials before and after training end to end, and whether both put them in one order.

Source: the project's own.
Differs: nothing.
"""

import math

from study.evidence.statistics.agreement import FEWEST, agreement
from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, short_name
from study.reporting.results import configuration, failed, measured, paired_difference
from study.reporting.run import Run
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text, Value, count


class Finetuning:
    """One row for each fine-tuned trial, in the order of the search."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was fine-tuned."""
        tuned = {str(row["variant"]): str(key) for key, row in run.of_role("finetune").iterrows()}
        first = run.trials.loc[[key for key in tuned if key in run.trials.index]]
        if first.empty:
            return None
        ordered = first.sort_values("value", ascending=False, kind="stable").index
        rows = [_row(run, str(key), tuned[str(key)]) for key in ordered]
        name = short_name(run.objective)
        columns = (
            Column("trial", "Trial", words=True),
            Column("configuration", "Configuration", words=True),
            Column("val_frozen", f"{name}, validation, frozen"),
            Column("val_tuned", f"{name}, validation, fine-tuned"),
            Column("test_frozen", f"{name}, test, frozen"),
            Column("test_tuned", f"{name}, test, fine-tuned"),
            Column("difference", "Difference", help="Fine-tuned minus frozen, test split, same patients"),
            Column("epochs", "Epochs", help="Of the fine-tuning"),
            Column("seconds", "Time (s)", help="Of the fine-tuning"),
        )
        return Table(
            name="finetuning",
            title="Fine-tuning",
            columns=columns,
            rows=tuple(rows),
            caption=(
                f"{full_name(run.objective).capitalize()} of the best trials of the search, which trained "
                "behind a frozen backbone, and after training end to end from their weights."
                f"{decisions_sentence(run, [run.objective])}"
            ),
            remarks=(
                _agreement_words(rows),
                "Difference: on the test split, with its 95 % interval from resampled patients. Validation "
                "chose the trials and their epochs, so its values are too good.",
            ),
            synthetic=run.synthetic,
        )


def _row(run: Run, first: str, tuned: str) -> Row:
    """A trial of the search and the trial that went on from it."""
    frozen = [_measured(run, first, split) for split in ("val", "test")]
    names = (Text(first), Text(configuration(run, first)))
    if run.of_trial(tuned, "state") != "complete":
        outcome = failed(run.trials.loc[[tuned]])
        return Row(first, (*names, frozen[0], outcome, frozen[1], *[NOTHING] * 4))
    after = [_measured(run, tuned, split) for split in ("val", "test")]
    reference = Origin(trials=(first,), measure=run.objective)
    numbers = (
        paired_difference(run, after[1], reference),
        count(float(run.of_trial(tuned, "num_epochs"))),
        count(float(run.of_trial(tuned, "seconds_total"))),
    )
    return Row(first, (*names, frozen[0], after[0], frozen[1], after[1], *numbers))


def _measured(run: Run, key: str, split: str) -> Cell:
    return measured(run, Origin(trials=(key,), measure=run.objective, split=split), interval=split == "test")


def _agreement_words(rows: list[Row]) -> str:
    """Whether the trials that are better frozen are better fine-tuned."""
    pairs = [
        (row.cells[2].value, row.cells[3].value)
        for row in rows
        if isinstance(row.cells[2], Value) and isinstance(row.cells[3], Value)
    ]
    found = agreement([frozen for frozen, _ in pairs], [tuned for _, tuned in pairs])
    if found is None:
        trials = "1 trial" if len(pairs) == 1 else f"{len(pairs)} trials"
        return (
            f"{trials}: no correlation between the values before and after can be told. With fewer than "
            f"{FEWEST} trials even the same order could be chance."
        )
    if math.isnan(found.tau):
        return f"{found.num} trials with equal values before or after have no order that could be compared."
    return (
        f"Rank correlation of the validation values before and after (Kendall's τ): {found.tau:.2f} over "
        f"{found.num} trials, p = {found.p_value:.2f}. These are the best trials, whose values lie close "
        "together; over all trials of the search it could be greater."
    )
