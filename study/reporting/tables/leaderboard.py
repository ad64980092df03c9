"""All finished trials of the search by validation value, with test measures; ensemble and baselines below.

Fine-tuned trials stand among them: they are networks that a user may want, and validation chooses.

Source: the project's own.
Differs: nothing.
"""

import math

from study.evidence.records import CONTENDERS
from study.reporting.deciding import decisions_sentence
from study.reporting.measures import full_name, headline, short_name
from study.reporting.results import collapse_words, head_name, measured
from study.reporting.run import Run
from study.reporting.settings_chips import common_remark, common_settings, settings_cell
from study.reporting.significance import with_bold
from study.reporting.table import NOTHING, Cell, Column, Origin, Row, Table, Text, Value

NUM_WITH_INTERVALS = 10  # best trials; more intervals would cost a second each, and nobody reads them
FINETUNED = "A trial named finetune was trained end to end, from the weights of the trial that it names."
BASELINES = {"prior": "class prior", "untrained": "untrained network"}


class Leaderboard:
    """Ranked by validation; the test columns took no part in the choice."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None where nothing was searched and no baseline scored."""
        tests = headline(run.kind, run.objective)
        keys = [str(key) for key in run.ranked.index]
        common = common_settings(run, keys)
        rows = [
            _row(run, key, rank, settings_cell(run, key, common), tests) for rank, key in enumerate(keys, 1)
        ]
        baselines = {key: title for name, title in BASELINES.items() if (key := run.baseline(name))}
        if run.ensemble:
            baselines = {run.ensemble: _ensemble_title(run, run.ensemble), **baselines}
        rows += [_row(run, key, None, Text(title, quiet=True), tests) for key, title in baselines.items()]
        if not rows:
            return None
        table = Table(
            name="leaderboard",
            title="Leaderboard",
            columns=_columns(run, tests),
            rows=tuple(rows),
            caption=(
                f"Trials by {full_name(run.objective)} on the validation split; all other measures are of "
                f"the test split.{decisions_sentence(run, tests)}"
            ),
            remarks=(*_remarks(run), *common_remark(run, common)),
            synthetic=run.synthetic,
            sortable=True,
        )
        first, *others = [*keys[:NUM_WITH_INTERVALS], *baselines]
        return with_bold(run, table, first, others, first)


def _columns(run: Run, tests: tuple[str, ...]) -> tuple[Column, ...]:
    objective = full_name(run.objective)
    return (
        Column("rank", "#"),
        Column("trial", "Trial", words=True),
        Column("configuration", "What differs", words=True),
        Column(
            "validation",
            f"{short_name(run.objective)}, validation",
            help=f"{objective}, validation split, best epoch",
        ),
        *(Column(test, short_name(test), help=f"{full_name(test)}, test split") for test in tests),
        Column("head", "Best head", words=True, help="The head with the best validation value"),
        Column("head_test", f"{short_name(run.head_measure)}, best head", help="Its test value"),
        Column("parameters", "Param. (M)", help="Millions of trained numbers"),
        Column("seconds", "Time (s)"),
    )


def _row(run: Run, key: str, rank: int | None, title: Text, tests: tuple[str, ...]) -> Row:
    """The row of a trial; a baseline has no rank."""
    head = next(iter(run.heads(key)), None)
    head_test: Cell = NOTHING
    if head:
        origin = Origin(trials=(key,), measure=run.head_measure, head=head.head)
        head_test = measured(run, origin, interval=False)
    interval = rank is None or rank <= NUM_WITH_INTERVALS
    origins = [Origin(trials=(key,), measure=test) for test in tests]
    cells: tuple[Cell, ...] = (
        Text("" if rank is None else str(rank)),
        Text(key, notes=tuple(filter(None, [collapse_words(run, [key])]))),
        title,
        Value(value=float(run.of_trial(key, "value"))),
        *(measured(run, origin, interval=interval) for origin in origins),
        Text(head_name(head.head, head.setting) if head else ""),
        head_test,
        Value(value=_number(run, key, "num_parameters") / 1e6, digits=1),
        Value(value=_number(run, key, "seconds_total"), digits=0),
    )
    return Row(key, cells)


def _ensemble_title(run: Run, key: str) -> str:
    """The members of an ensemble with their weights."""
    weights: dict[str, float] = run.of_trial(key, "params")
    return f"mean of {', '.join(f'{trial} ({weight:.0%})' for trial, weight in weights.items())}"


def _number(run: Run, trial: str, column: str) -> float:
    """A number of a trial; NaN where it has none, and for the zero of what was never trained."""
    value = run.of_trial(trial, column)
    return float(value) if value else math.nan


def _remarks(run: Run) -> tuple[str, ...]:
    intervals = (
        f"The first {NUM_WITH_INTERVALS} and the baselines have 95 % intervals, from resampled patients."
    )
    tuned = () if run.of_role("finetune").empty else (FINETUNED,)
    states = run.trials[run.trials["role"].isin(CONTENDERS)]["state"]
    others = states[states != "complete"].value_counts()
    if others.empty:
        return (*tuned, intervals)
    counts = " and ".join(f"{n} {state}" for state, n in others.items())
    return (*tuned, intervals, f"Not ranked: {counts}. A pruned trial is not a complete one.")
