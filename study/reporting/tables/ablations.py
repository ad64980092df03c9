"""Ablations of the study that belong to no table of a paper: every variant, averaged over its seeds.

Source: the project's own.
Differs: nothing.
"""

from study.reporting.measures import headline, long, short
from study.reporting.papers import published_names
from study.reporting.row_trials import of_variant
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import Column, Row, Table, Text, Value


class Ablations:
    """One table with a group of rows for each ablation."""

    section = "ablations"

    def build(self, run: Run) -> Table | None:
        """The table; None where every ablation is a paper's table."""
        asked: dict[str, list[str]] = {
            name: list(variants) for name, variants in run.study["ablations"].items()
        }
        for name, variant in (
            run.of_role("ablation")[["table", "variant"]].drop_duplicates().itertuples(index=False)
        ):
            if variant not in asked.setdefault(name, []):
                asked[name].append(variant)
        own = {name: variants for name, variants in asked.items() if name not in published_names()}
        if not own:
            return None
        tests = headline(run.kind, run.objective)
        rows = [
            self._row(run, name, variant, i == 0, tests)
            for name, variants in own.items()
            for i, variant in enumerate(variants)
        ]
        columns = (
            Column("ablation", "Ablation", words=True),
            Column("variant", "Variant", words=True),
            Column("trainings", "Trainings", help="Seeds and folds"),
            *(Column(m, short(m), help=long(m)) for m in tests),
        )
        caption = "Test split: mean, standard deviation over seeds, and 95 % interval from resampled patients and seeds."
        table = Table("ablations", "Ablations", columns, tuple(rows), caption, synthetic=run.synthetic)
        for name, variants in own.items():
            first, *others = [f"{name}.{variant}" for variant in variants]
            table = with_bold(run, table, first, others, variants[0])
        return table

    def _row(self, run: Run, name: str, variant: str, first: bool, tests: tuple[str, ...]) -> Row:
        found = of_variant(run, name, variant)
        cells = found.cells(run, [(m, "half", "") for m in tests])
        trainings = Value(float(len(found.trials)), digits=0)
        return Row(f"{name}.{variant}", (Text(name if first else ""), Text(variant), trainings, *cells))
