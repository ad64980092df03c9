"""From stored scores to the cells of a table."""

import math
from functools import lru_cache

import numpy as np
import pandas as pd

from study.evidence.retrieval import is_retrieval
from study.reporting.estimates import estimates_of
from study.reporting.redaction import without_folders
from study.reporting.run import Run
from study.reporting.table import Cell, Origin, Text, Value

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
    """A head in words, with its setting."""
    name = HEAD_NAMES.get(head, head.replace("_", " "))
    return f"{name} ({setting})" if setting else name


def measured(run: Run, origin: Origin, *, notes: tuple[str, ...] = (), interval: bool = True) -> Cell:
    """The mean over the origin's trials with its interval, and its spread over seeds; words where the measure does not exist."""
    if origin.measure not in run.measures and not (is_retrieval(origin.measure) and run.kind != "multilabel"):
        return Text(
            "not defined", notes=(f"`{origin.measure}` is not a measure of {run.kind} data.",), quiet=True
        )
    values = [value for value in trial_values(run, origin) if not math.isnan(value)]
    if not values:
        return Value(math.nan, notes=notes, origin=origin)
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    found = estimates_of(run).of(origin) if interval else None
    low, high = (found.low, found.high) if found else (math.nan, math.nan)
    return Value(float(np.mean(values)), low, high, spread, notes=notes, origin=origin)


def trial_values(run: Run, origin: Origin) -> list[float]:
    """The origin's number in each of its trials: as stored, or computed where it is not stored."""
    o = origin
    if o.setting:
        return [estimates_of(run).point(o, trial) for trial in o.trials]
    stored = [
        run.score(t, o.measure, split=o.split, decision=o.decision, head=o.head, label=o.label)
        for t in o.trials
    ]
    if not is_retrieval(o.measure):
        return stored
    return [
        estimates_of(run).point(o, t) if math.isnan(value) else value
        for t, value in zip(o.trials, stored, strict=True)
    ]


def ablation_trials(run: Run, table: str, variant: str) -> pd.DataFrame:
    """All trials of a variant, one a seed and fold."""
    rows = run.of_role("ablation")
    return rows[(rows["table"] == table) & (rows["variant"] == variant)].sort_values(
        ["seed", "fold"], kind="stable"
    )


def failed(trials: pd.DataFrame) -> Text:
    """The word for a variant without a finished trial; the note says why."""
    first = trials.iloc[0]
    reason = ": ".join(str(part) for part in (first["outcome"], first["message"]) if part)
    return Text(str(first["state"]), notes=(reason,) if reason else (), quiet=True)


def configuration(run: Run, trial: str) -> str:
    """What a trial chose, `backbone resnet50, lr 0.00012`; a name is as long as it must be to be unique."""
    params: dict[str, object] = run.of_trial(trial, "params")
    return ", ".join(
        f"{name} {setting(params[key])}" for key, name in parameter_names(run).items() if key in params
    )


@lru_cache(maxsize=8)
def parameter_names(run: Run) -> dict[str, str]:
    """The shortest dotted end of each searched parameter that no other one has."""
    keys = list(
        dict.fromkeys(
            [*run.study["search_space"], *(key for params in run.trials["params"] for key in params)]
        )
    )
    names = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        names[key] = next(
            (e for e in ends if not any(o != key and (o == e or o.endswith(f".{e}")) for o in keys)), key
        )
    return names


def setting(value: object) -> str:
    """A parameter's value as one would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(setting, value))
    if isinstance(value, dict) and "type" in value:
        return (
            f"one of {setting(value['choices'])}"
            if "choices" in value
            else f"{setting(value['low'])} to {setting(value['high'])}"
        )
    if isinstance(value, dict):
        rest = ", ".join(f"{k} {setting(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']} ({rest})" if "name" in value and rest else str(value.get("name", rest))
    return "none" if value is None else without_folders(str(value))
