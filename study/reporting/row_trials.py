"""Which trainings, head and setting of a run stand for a row of a paper's table."""

from collections.abc import Sequence
from dataclasses import dataclass

from study.reporting.papers import PaperTable
from study.reporting.results import ablation_trials, failed, measured
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run
from study.reporting.table import NOT_RUN, Cell, Origin, Text

CHOSEN = "chosen"
OTHER_NETWORKS = "svkma_table8"
ALWAYS_THE_COMMONEST = "always_no_dr"
KNN_OF_THE_PAPER = "knn_first"  # equal votes go to the first class, as in scikit-learn


@dataclass(frozen=True)
class RowTrials:
    """The trials behind a row; without any, `status` is the word to show.

    Attributes:
        trials: one a seed and fold.
        words: what stands beside `ours`.
        notes: footnotes of every cell.
    """

    trials: tuple[str, ...] = ()
    head: str = ""
    setting: str = ""
    words: str = ""
    notes: tuple[str, ...] = ()
    status: Text = NOT_RUN

    def cells(self, run: Run, measures: Sequence[tuple[str, str, str]]) -> list[Cell]:
        """One cell for each (measure, decision, label); the label is empty for an aggregate."""
        if not self.trials:
            return [self.status] * len(measures)
        origins = [
            Origin(self.trials, m, self.head, self.setting, decision=decision, label=label)
            for m, decision, label in measures
        ]
        return [measured(run, origin, notes=self.notes) for origin in origins]


def row_trials(run: Run, paper: PaperTable, row: str) -> RowTrials:
    """What stands for the row: the variant of that name, or that head or K on the base network's embedding."""
    if row == CHOSEN:
        return RowTrials((run.best,), words=run.best) if run.best else RowTrials()
    if row == ALWAYS_THE_COMMONEST:
        prior = run.baseline("prior")
        return (
            RowTrials((prior,), words="always the commonest grade of training")
            if prior and ranking_of(run, prior, "test")
            else RowTrials()
        )
    if paper.rows_are == "variants":
        return of_variant(run, paper.name, row)
    base = base_trials(run, paper)
    if paper.rows_are == "neighbours":
        setting = f"k={row.removeprefix('k')}, euclidean, uniform"
        has = [
            key for key in base if run.predictions(key, head=KNN_OF_THE_PAPER, setting=setting) is not None
        ]
        return RowTrials(tuple(has), KNN_OF_THE_PAPER, setting) if has else RowTrials()
    has = [key for key in base if any(choice.head == row for choice in run.heads(key))]
    settings = dict.fromkeys(choice.setting for key in has for choice in run.heads(key) if choice.head == row)
    return RowTrials(tuple(has), row, words="; ".join(s for s in settings if s)) if has else RowTrials()


def of_variant(run: Run, table: str, variant: str) -> RowTrials:
    """All complete trainings of a variant of an ablation."""
    trials = ablation_trials(run, table, variant)
    complete = trials[trials["state"] == "complete"]
    if complete.empty:
        return RowTrials(status=NOT_RUN if trials.empty else failed(trials))
    lost = len(trials) - len(complete)
    notes = (f"{lost} of {len(trials)} seeds or folds failed and are left out.",) if lost else ()
    return RowTrials(
        tuple(map(str, complete.index)),
        words=f"mean of {len(complete)}" if len(complete) > 1 else "",
        notes=notes,
    )


def compared_variants(run: Run) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The ablation whose networks are drawn beside each other and its complete trials by variant: SVK_MA's Table 8, else the first."""
    trials = run.of_role("ablation", "complete")
    tables = list(dict.fromkeys(trials["table"]))
    if not tables:
        return "", {}
    table = OTHER_NETWORKS if OTHER_NETWORKS in tables else str(tables[0])
    mine = trials[trials["table"] == table]
    return table, {
        str(name): tuple(map(str, group.index)) for name, group in mine.groupby("variant", sort=False)
    }


def base_trials(run: Run, paper: PaperTable) -> tuple[str, ...]:
    """The network whose embedding carries a table of heads: the first variant of the table's ablation, else the chosen trial."""
    trials = run.of_role("ablation", "complete")
    mine = trials[trials["table"] == paper.name]
    if not mine.empty:
        return tuple(map(str, mine[mine["variant"] == mine["variant"].iloc[0]].index))
    return (run.best,) if run.best else ()
