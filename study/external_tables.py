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
    console.print(_metrics(found, num_samples))
    console.print(_by_label(found, labels))


def _metrics(found: pd.DataFrame, num_samples: int) -> Table:
    """Every metric over all labels, here and on the study's own test patients."""
    table = Table(box=None, header_style="bold", title=f"{num_samples} samples with known labels")
    table.title_justify = "left"
    columns = {"here": "", "study's test": "test_"}
    if "plain_value" in found:
        columns = {
            "here, with mirror images": "",
            "here, without": "plain_",
            "study's test, without": "test_",
        }
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for row in found[found["label"] == ""].to_dict("records"):
        table.add_row(row["metric"], *(_with_interval(row, before) for before in columns.values()))
    return table


def _by_label(found: pd.DataFrame, labels: Sequence[str]) -> Table:
    """What ranks the samples of each label, here and on the study's own test patients."""
    table = Table(box=None, header_style="bold")
    table.add_column("label")
    for name in (
        "share here",
        "study's",
        *(f"{m} {of}" for m in ("AUC", "AP") for of in ("here", "study's")),
    ):
        table.add_column(name, justify="right")
    rows = {(row["metric"], row["label"]): row for row in found.to_dict("records")}
    for label in labels:
        shown = [rows[metric, label] for metric in ("prevalence", "auc", "average_precision")]
        cells = [_with_interval(row, before) for row in shown for before in ("", "test_")]
        table.add_row(escape(label), *cells)
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
