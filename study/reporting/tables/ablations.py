"""Ablations of the study that belong to no table of a paper: every variant, averaged over its seeds.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Sequence

from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, headline, short_name
from study.reporting.papers import published_names
from study.reporting.row_trials import of_variant
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import Column, Row, Table, Text, count
from study.reporting.tuning import tuned_choice, tuning_remarks


class Ablations:
    """One table with a group of rows for each ablation."""

    section = "ablations"

    def build(self, run: Run) -> Table | None:
        """The table; None where every ablation is a paper's table."""
        ablations = {
            name: list(variants)
            for name, variants in _variants_by_ablation(run).items()
            if name not in published_names()
        }
        if not ablations:
            return None
        tests = headline(run.kind, run.objective)
        rows = [
            _row(run, name, variant, tests, is_first=i == 0)
            for name, variants in ablations.items()
            for i, variant in enumerate(variants)
        ]
        columns = (
            Column("ablation", "Ablation", words=True),
            Column("variant", "Variant", words=True),
            Column("trainings", "Trainings", help="Number of seeds and folds"),
            *(Column(measure, short_name(measure), help=full_name(measure)) for measure in tests),
        )
        table = Table(
            name="ablations",
            title="Ablations",
            columns=columns,
            rows=tuple(rows),
            caption=(
                "Test split: mean, standard deviation over seeds, and 95 % interval from resampled "
                f"patients and seeds.{decisions_sentence(run, tests)}"
            ),
            remarks=tuple(
                dict.fromkeys(remark for name in ablations for remark in tuning_remarks(run, name))
            ),
            synthetic=run.synthetic,
        )
        for name, variants in ablations.items():
            first, *others = [f"{name}.{variant}" for variant in variants]
            table = with_bold(run, table, first, others, variants[0])
        return table


def _variants_by_ablation(run: Run) -> dict[str, dict[str, None]]:
    """The variants that the study asks for, then those that only its trials know, in their order."""
    found = {name: dict.fromkeys(variants) for name, variants in run.study["ablations"].items()}
    trials = run.of_role("ablation")
    for name, variant in zip(trials["table"], trials["variant"], strict=True):
        found.setdefault(name, {}).setdefault(variant)
    return found


def _row(run: Run, ablation: str, variant: str, tests: Sequence[str], *, is_first: bool) -> Row:
    """The row of a variant; the first one of an ablation names it."""
    found = of_variant(run, ablation, variant)
    cells = found.cells(run, [(measure, "tuned", "") for measure in tests])
    choice = tuned_choice(run, found.trials[0]) if found.trials else ""
    names = (Text(ablation if is_first else ""), Text(f"{variant} ({choice})" if choice else variant))
    return Row(f"{ablation}.{variant}", (*names, count(len(found.trials)), *cells))
