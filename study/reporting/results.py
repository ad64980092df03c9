"""From stored scores to the cells of a table."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import pandas as pd

from study.evidence.retrieval import is_retrieval
from study.reporting.estimates import estimates_of
from study.reporting.neighbour_settings import NAMES, own_setting
from study.reporting.redaction import without_folders
from study.reporting.run import Run
from study.reporting.table import NOTHING, Cell, Origin, Row, Text, Value
from study.spec.wording import configuration_text, setting_text, shortest_names

HEAD_NAMES = {
    "network": "network",
    "prior": "class prior",
    "knn": "KNN",
    "svm": "SVM",
    "svm_unscaled": "SVM, unscaled",
    "random_forest": "random forest",
    "gradient_boosting": "gradient boosting",
    "gaussian_nb": "naive Bayes",
    "knn_first": "KNN, first of equal votes",
    "logistic_regression": "logistic regression",
}


def head_name(head: str, setting: str = "") -> str:
    """A head in words, with the settings that the study fixed and the one that was chosen."""
    classifier, *fixed = head.split(" ")
    name = HEAD_NAMES.get(classifier, classifier.replace("_", " "))
    name = f"{name} with {', '.join(fixed)}" if fixed else name
    return f"{name} ({setting})" if setting else name


def measured(run: Run, origin: Origin, *, notes: tuple[str, ...] = (), interval: bool = True) -> Cell:
    """The number of an origin as a cell: the mean over its trials, its interval, and its spread over seeds.

    Args:
        run: The run.
        origin: Where the number comes from.
        notes: Footnotes of the cell.
        interval: Whether to compute the interval, which takes a second or more.

    Returns:
        words where this kind of data does not have the measure.
    """
    if origin.measure not in run.measures and not (is_retrieval(origin.measure) and run.kind != "multilabel"):
        reason = f"`{origin.measure}` is not a measure of {run.kind} data."
        return Text("not defined", notes=(reason,), quiet=True)
    notes = (*notes, *filter(None, [collapse_words(run, origin.trials)]))
    values = pd.Series(trial_values(run, origin), index=list(origin.trials)).dropna()
    if values.empty:
        return Value(value=math.nan, notes=notes, origin=origin)
    found = estimates_of(run).of(origin) if interval else None
    words = estimates_of(run).support_words(origin) if found else ""
    notes = (*notes, *filter(None, [words]))
    return Value(
        value=float(values.mean()),
        low=found.low if found else math.nan,
        high=found.high if found else math.nan,
        spread=float(values.groupby(run.trials["seed"]).mean().std()),
        notes=notes,
        origin=origin,
    )


def paired_difference(run: Run, cell: Cell, reference: Origin) -> Cell:
    """The paired difference of a number from that of a reference; nothing where they cannot be compared."""
    if not isinstance(cell, Value) or cell.origin is None:
        return NOTHING
    found = estimates_of(run).compared(cell.origin, reference)
    if found is None:
        return NOTHING
    return Value(
        value=found.difference,
        low=found.low,
        high=found.high,
        signed=True,
        origin=replace(cell.origin, minus=reference),
    )


def trial_values(run: Run, origin: Origin) -> list[float]:
    """The origin's number in each of its trials: as stored, or computed where it is not stored."""
    if origin.setting or origin.group:
        return [estimates_of(run).point(origin, trial) for trial in origin.trials]
    stored = [
        run.score(
            trial,
            origin.measure,
            split=origin.split,
            decision=origin.decision,
            head=origin.head,
            label=origin.label,
        )
        for trial in origin.trials
    ]
    if not is_retrieval(origin.measure):
        return stored
    return [
        estimates_of(run).point(origin, trial) if math.isnan(value) else value
        for trial, value in zip(origin.trials, stored, strict=True)
    ]


def collapse_words(run: Run, trials: Sequence[str]) -> str:
    """How many of some trainings have collapsed, and why; empty where none has."""
    reasons = [str(run.of_trial(trial, "collapsed")) for trial in trials]
    found = [reason for reason in reasons if reason]
    if not found:
        return ""
    who = "Collapsed" if len(trials) == 1 else f"{len(found)} of {len(trials)} trainings collapsed"
    return f"{who}: {'; '.join(dict.fromkeys(found))}."


def row_collapse_words(run: Run, row: Row) -> str:
    """`collapse_words` of the trainings behind the numbers of a row."""
    origins = [cell.origin for cell in row.cells if isinstance(cell, Value) and cell.origin]
    return collapse_words(run, list(dict.fromkeys(trial for origin in origins for trial in origin.trials)))


def ablation_trials(run: Run, ablation: str, variant: str) -> pd.DataFrame:
    """All trials of a variant, one for each seed and fold."""
    rows = run.of_role("ablation")
    mine = rows[(rows["table"] == ablation) & (rows["variant"] == variant)]
    return mine.sort_values(["seed", "fold"], kind="stable")


def failed(trials: pd.DataFrame) -> Text:
    """How the first of some trials ended, without a finished one among them; the note says why."""
    first = trials.iloc[0]
    reason = ": ".join(str(part) for part in (first["outcome"], first["message"]) if part)
    return Text(str(first["state"]), notes=(reason,) if reason else (), quiet=True)


def configuration(run: Run, trial: str) -> str:
    """What the search chose for a trial, and its neighbours' setting: `backbone resnet50, lr 0.00012`."""
    return without_folders(configuration_text(chosen_params(run, trial), parameter_names(run) | NAMES))


def chosen_params(run: Run, trial: str) -> dict[str, object]:
    """The parameters of a trial of the search, with K, distance and vote where neighbours stand for it."""
    params: dict[str, object] = run.of_trial(trial, "params")
    return params | own_setting(run, trial) if params else {}


@lru_cache(maxsize=8)
def parameter_names(run: Run) -> dict[str, str]:
    """The name of each searched parameter, as short as it can be without being another one's."""
    keys = dict.fromkeys(run.study["search_space"])
    for params in run.trials.loc[run.trials["role"] != "ensemble", "params"]:  # whose members stand there
        keys |= dict.fromkeys(params)
    return shortest_names(list(keys))


def label_titles(run: Run) -> tuple[str, ...]:
    """The labels in words, where the data set has some: `diabetic retinopathy` for D."""
    return tuple(run.study["label_names"] or run.labels)


def setting_words(value: object) -> str:
    """A parameter's value in words, without folders."""
    return without_folders(setting_text(value))
