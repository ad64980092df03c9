"""The console's tables of a finished trial on other patients."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.spec.task import LabelKind

Columns = dict[str, list[str]]
"""Cells of some columns by their header."""


def show_external_test(
    found: pd.DataFrame, num_samples: int, labels: Sequence[str], console: Console
) -> None:
    """Prints what `study.evidence.external_test` found.

    Args:
        found: Its rows.
        num_samples: Number of samples with known labels.
        labels: Names of the labels.
        console: Where to print.
    """
    console.print(f"{num_samples} samples with known labels", style="italic", highlight=False)
    over_all = found[found["label"] == ""].to_dict("records")
    here = {"here": "", "study's test": "test_"}
    if "plain_value" in found:
        here = {"here, with mirror images": "", "here, without": "plain_", "study's test, without": "test_"}
    columns = [{name: [_with_interval(row, before) for row in over_all]} for name, before in here.items()]
    _print("metric", [str(row["metric"]) for row in over_all], columns, console)
    rows = {(row["metric"], row["label"]): row for row in found.to_dict("records")}
    by_label: list[Columns] = []
    for name, metric in (("share", "prevalence"), ("AUC", "auc"), ("AP", "average_precision")):
        shown = [rows[metric, label] for label in labels]
        by_label.append(
            {
                f"{name} here": [_with_interval(row, "") for row in shown],
                f"{name} study's": [_with_interval(row, "test_") for row in shown],
            }
        )
    _print("label", labels, by_label, console)


def _print(first: str, names: Sequence[str], groups: Sequence[Columns], console: Console) -> None:
    """A table as wide as the console, and another one below it with each group that finds no room there."""
    left, endless = list(groups), console.options.update(width=10_000)
    while left:
        shown = left.pop(0)
        while left:
            wider = shown | left[0]
            if console.measure(_table(first, names, wider), options=endless).maximum > console.width:
                break
            shown = wider
            del left[0]
        console.print(_table(first, names, shown))


def _table(first: str, names: Sequence[str], columns: Columns) -> Table:
    """A table of these columns, whose cells stay on one line."""
    table = Table(box=None, header_style="bold")
    table.add_column(first, overflow="fold")  # a long name gives way to the numbers
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for i, name in enumerate(names):
        table.add_row(escape(name), *(cells[i] for cells in columns.values()))
    return table


def _with_interval(row: Mapping[Hashable, Any], before: str) -> str:
    value, low, high = (row[f"{before}{part}"] for part in ("value", "low", "high"))
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def one_patient(
    score: Float[np.ndarray, " l"],
    decided: Bool[np.ndarray, " l"],
    thresholds: Float[np.ndarray, " l"],
    labels: tuple[str, ...],
    kind: LabelKind,
) -> Table:
    """The probability of each label, the greatest first, with its threshold and what is decided."""
    columns = {
        "label": [escape(label) for label in labels],
        "probability": [f"{value:.3f}" for value in score],
        "threshold": [f"{value:.3f}" for value in thresholds],
        "decided": ["yes" if yes else "no" for yes in decided],
    }
    if kind != "multilabel":
        del columns["threshold"]
    table = Table(box=None, header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name == "label" else "right")
    for place in np.argsort(-score, kind="stable"):
        table.add_row(*(values[place] for values in columns.values()))
    return table
