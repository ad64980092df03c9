"""The trainings, the head and the setting of a run that stand for a row of a paper's table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.evidence.decisions import Decision
from study.evidence.predictions import NETWORK
from study.evidence.retrieval import is_retrieval
from study.reporting.other_settings import FREE_NEIGHBOURS, HEAD_OF_TIES
from study.reporting.papers import NeighbourRule, PaperTable, published_tables
from study.reporting.results import ablation_trials, failed, measured
from study.reporting.retrieval import ranking_of
from study.reporting.run import Run
from study.reporting.table import NOT_RUN, Cell, Origin, Text
from study.reporting.tuning import tuned_choice

CHOSEN = "chosen"  # key of the row of the run's chosen trial


@dataclass(frozen=True, kw_only=True)
class RowTrials:
    """What stands for a row.

    Attributes:
        trials: Keys of the trials, one for each seed and fold; empty where the row was not run.
        head: Name of the head; empty for the one that stands for each trial.
        setting: Setting of nearest neighbours, where it is not the one that validation chose.
        words: What stands beside `ours`.
        notes: Footnotes of every cell.
        status: What every cell says where there are no trials.
    """

    trials: tuple[str, ...] = ()
    head: str = ""
    setting: str = ""
    words: str = ""
    notes: tuple[str, ...] = ()
    status: Text = NOT_RUN

    def cells(self, run: Run, measures: Sequence[tuple[str, Decision, str]]) -> list[Cell]:
        """One cell for each (measure, decision, label); the label is empty for an aggregate."""
        if not self.trials:
            return [self.status] * len(measures)
        return [measured(run, self.origin(*measure), notes=self.notes) for measure in measures]

    def origin(self, measure: str, decision: Decision, label: str) -> Origin:
        """Where the number of a measure comes from; there must be trials."""
        return Origin(
            trials=self.trials,
            measure=measure,
            head=self.head,
            setting=self.setting,
            decision=decision,
            label=label,
        )


def row_trials(run: Run, paper: PaperTable, key: str) -> RowTrials:
    """What stands for the row of that key."""
    if key == CHOSEN:
        return RowTrials(trials=(run.best,), words=run.best) if run.best else RowTrials()
    if key in paper.rows and paper.rows[key].baseline:
        return _of_baseline(run, paper, key)
    found = _before_neighbours(run, paper, key)
    if found.trials and paper.neighbours and _are_neighbours(run, paper, key, found.trials):
        words = found.words if paper.rows_are == "variants" else _mean(found.trials)
        return _at_setting(run, replace(found, words=words), paper.neighbours, key)
    return found


def chosen_neighbours(run: Run, paper: PaperTable, key: str) -> RowTrials:
    """For a row of neighbours as a paper has them: the same trainings by those that validation chose.

    Where each row of the table has another K, only the row that the paper proposes has such a line.
    """
    ours = row_trials(run, paper, key)
    if not ours.setting or (paper.rows_are == "neighbours" and key != paper.reference):
        return RowTrials()
    settings = [_chosen_setting(run, trial, FREE_NEIGHBOURS) for trial in ours.trials]
    if not all(settings):
        return RowTrials()
    words = f"K chosen: {'; '.join(dict.fromkeys(settings))}"
    return replace(ours, head=FREE_NEIGHBOURS, setting="", words=words)


def _before_neighbours(run: Run, paper: PaperTable, key: str) -> RowTrials:
    """What stands for the row, if validation chooses the neighbours where they decide."""
    if paper.rows_are == "variants":
        head = paper.rows[key].head if key in paper.rows else ""
        return replace(_of_row(run, paper, key), head=head)
    if paper.rows_are == "neighbours":
        return RowTrials(trials=base_trials(run, paper))
    return _of_head(run, paper, key)


def _of_row(run: Run, paper: PaperTable, key: str) -> RowTrials:
    """The variant of the row's name; where none was trained, why there is no such network of ours."""
    found = of_variant(run, paper.ablation, key)
    reason = paper.rows[key].not_built if key in paper.rows else ""
    if reason and found.status == NOT_RUN and not found.trials:
        return RowTrials(status=Text(f"not built here: {reason}", quiet=True))
    return found


def _are_neighbours(run: Run, paper: PaperTable, key: str, trials: Sequence[str]) -> bool:
    """Whether nearest neighbours decide in the row, and not a trained head or another classifier."""
    if paper.rows_are == "heads":
        return key in HEAD_OF_TIES.values()
    if key in paper.rows:
        return not paper.rows[key].head
    return all(run.own_head(trial) != NETWORK for trial in trials)  # a variant of the user's own


def _at_setting(run: Run, found: RowTrials, rule: NeighbourRule, key: str) -> RowTrials:
    """The same trainings, decided by the neighbours of the rule."""
    head, setting = HEAD_OF_TIES[rule.ties], rule.setting(key)
    if any(run.predictions(trial, head=head, setting=setting) is None for trial in found.trials):
        return RowTrials(status=Text("no embeddings, or too few training samples for K", quiet=True))
    words = ", ".join(filter(None, (setting, found.words)))
    return replace(found, head=head, setting=setting, words=words)


def _chosen_setting(run: Run, trial: str, head: str) -> str:
    """The setting of a head that validation chose; empty where the trial has no such head."""
    return next((choice.setting for choice in run.heads(trial) if choice.head == head), "")


def of_variant(run: Run, ablation: str, variant: str) -> RowTrials:
    """All complete trainings of a variant of an ablation."""
    trials = ablation_trials(run, ablation, variant)
    complete = trials[trials["state"] == "complete"]
    if complete.empty:
        return RowTrials(status=NOT_RUN if trials.empty else failed(trials))
    num_lost = len(trials) - len(complete)
    lost = f"{num_lost} of {len(trials)} seeds or folds failed and are left out."
    words = _mean(list(complete.index)), tuned_choice(run, str(complete.index[0]))
    return RowTrials(
        trials=tuple(map(str, complete.index)),
        words=", ".join(filter(None, words)),
        notes=(lost,) if num_lost else (),
    )


def _mean(trials: Sequence[str]) -> str:
    """How many trainings a number is the mean of; empty for a single one."""
    return f"mean of {len(trials)}" if len(trials) > 1 else ""


def _of_baseline(run: Run, paper: PaperTable, key: str) -> RowTrials:
    row = paper.rows[key]
    trial = run.baseline(row.baseline)
    ranks = any(is_retrieval(metric.measure) for metric in paper.metrics.values())
    if trial is None or (ranks and ranking_of(run, trial, "test") is None):
        return RowTrials()
    return RowTrials(trials=(trial,), words=row.words)


def _of_head(run: Run, paper: PaperTable, head: str) -> RowTrials:
    base = base_trials(run, paper)
    words = _chosen_setting(run, base[0], head) if base else ""
    return RowTrials(trials=base, head=head, words=words) if words else RowTrials()


def base_trials(run: Run, paper: PaperTable) -> tuple[str, ...]:
    """The training whose embedding carries a table of heads or of neighbours; none where it was not run.

    It is the network that the paper proposes, with the first seed that is complete.
    """
    trials = ablation_trials(run, paper.ablation, paper.network)
    return tuple(map(str, trials[trials["state"] == "complete"].index[:1]))


def trials_with_heads(run: Run) -> list[str]:
    """The trials whose heads a report shows: the chosen one, and the base of each paper's table of heads."""
    trials = [run.best] if run.best else []
    for paper in published_tables():
        if paper.rows_are == "heads":
            trials += base_trials(run, paper)
    return list(dict.fromkeys(trials))


def compared_variants(run: Run) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The ablation whose variants are drawn together, and each variant's complete trials.

    It is the ablation of a paper's table that asks for it (`drawn_together`), else the first one.
    """
    return _variants(run, [paper.ablation for paper in published_tables() if paper.drawn_together])


def variants_by_group(run: Run) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The ablation whose variants are scored on groups of patients, and each variant's complete trials.

    It is the ablation of a paper's table that asks for it (`by_group`), else the first one.
    """
    return _variants(run, [paper.ablation for paper in published_tables() if paper.by_group])


def _variants(run: Run, asked: Sequence[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The first of the ablations that was run, else any first one, and each variant's complete trials."""
    trials = run.of_role("ablation", "complete")
    ablations = [str(name) for name in trials["table"].unique()]
    if not ablations:
        return "", {}
    ablation = next((name for name in asked if name in ablations), ablations[0])
    by_variant = trials[trials["table"] == ablation].groupby("variant", sort=False)
    return ablation, {str(name): tuple(map(str, group.index)) for name, group in by_variant}
