"""Several runs on one page: what each chose, and which is better on the same patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study.evidence.statistics.budgets import BudgetCurve, budget_curve
from study.evidence.statistics.comparison import holm, paired_bootstrap
from study.reporting.assembly import table_files
from study.reporting.estimates import estimates_of
from study.reporting.figure import PALETTE, STYLE, Drawing, drawn, sheet
from study.reporting.figures.budget import costs
from study.reporting.measures import headline, long, short
from study.reporting.page import Heading, page
from study.reporting.redaction import publishable, without_folders
from study.reporting.results import configuration, measured
from study.reporting.run import Run
from study.reporting.table import Cell, Column, Origin, Row, Table, Text, Value
from study.spec.errors import SpecError

SIGNIFICANCE = 0.05
NAME = "runs"


def side_by_side(runs: Sequence[Run]) -> dict[str, bytes]:
    """The page `compared.html` with its table and figure, as files.

    Raises:
        SpecError: the runs are on different kinds of data, or optimise different measures.
    """
    for what, values in (
        ("kind of data", [r.kind for r in runs]),
        ("objective", [r.objective for r in runs]),
    ):
        if len(set(values)) > 1:
            raise SpecError(
                f"`RUN`: runs side by side must have one {what}, got {', '.join(dict.fromkeys(values))}. Report them apart."
            )
    table = publishable(runs_table(runs))
    drawing = _drawing(runs)
    synthetic = any(run.synthetic for run in runs)
    heading = Heading(
        " · ".join(names_of(runs)),
        f"{len(runs)} runs side by side",
        f"{long(runs[0].objective)}, test split",
        synthetic,
    )
    drawings = [drawing] if drawing else []
    html = page(heading, list(map(without_folders, _paragraphs(runs))), [(NAME, table)], drawings)
    figures = {
        f"figures/{d.name}.{end}": content
        for d in drawings
        for end, content in (("svg", d.svg.encode()), ("png", d.png))
    }
    return {**table_files(table), **figures, "compared.html": html.encode()}


def names_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names, numbered where they are equal."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]


def runs_table(runs: Sequence[Run]) -> Table:
    """One row a run: what it chose and how that does on its test split; bold where it beats the first run on the same patients."""
    tests = headline(runs[0].kind, runs[0].objective)
    bold, remark = _bold(runs, tests)
    rows = []
    for i, (run, name) in enumerate(zip(runs, names_of(runs), strict=True)):
        cells: list[Cell] = [
            Text(name),
            Text(str(run.study["dataset"])),
            Value(float(len(run.of_role("search"))), digits=0),
        ]
        if run.best is None:
            rows.append(
                Row(str(i), (*cells, Text("no complete trial", quiet=True), *[Value(math.nan)] * len(tests)))
            )
            continue
        cells.append(Text(f"{run.best} ({configuration(run, run.best)})"))
        for measure in tests:
            cell = measured(run, Origin((run.best,), measure))
            cells.append(replace(cell, bold=(i, measure) in bold) if isinstance(cell, Value) else cell)
        rows.append(Row(str(i), tuple(cells)))
    columns = (
        Column("run", "Run", words=True),
        Column("dataset", "Data", words=True),
        Column("trials", "Trials"),
        Column("chosen", "Chosen trial", words=True),
        *(Column(m, short(m), help=long(m)) for m in tests),
    )
    caption = "The chosen trial of each run on its test split, with 95 % intervals from resampled patients."
    return Table(
        NAME,
        "What each run chose",
        columns,
        tuple(rows),
        caption,
        (remark,),
        any(run.synthetic for run in runs),
    )


def same_patients(runs: Sequence[Run]) -> bool:
    """Whether all chosen trials were tested on the same samples of the same data."""
    found = [run.chosen_predictions() for run in runs]
    samples = {tuple(sorted(f.sample)) for f in found if f is not None}
    data = {run.study["data_fingerprint"] for run in runs}
    return all(f is not None for f in found) and len(samples) == len(data) == 1


def _bold(runs: Sequence[Run], tests: Sequence[str]) -> tuple[set[tuple[int, str]], str]:
    if not same_patients(runs):
        return set(), "No test between the runs: their test splits hold different samples."
    p_values: dict[tuple[int, str], float] = {}
    better: set[tuple[int, str]] = set()
    for measure in tests:
        first, *others = [estimates_of(run).of(Origin((str(run.best),), measure)) for run in runs]
        for i, other in enumerate(others, 1):
            if first is not None and other is not None:
                compared = paired_bootstrap(other, first)
                p_values[i, measure] = compared.p_value
                if (compared.difference > 0) == estimates_of(runs[0]).greater_is_better(measure):
                    better.add((i, measure))
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rule = f"Bold: better than {names_of(runs)[0]} at p < {SIGNIFICANCE:.2f}; paired bootstrap over patients, Holm-corrected over this table."
    return {key for key in better if adjusted[key] < SIGNIFICANCE}, rule


def _paragraphs(runs: Sequence[Run]) -> list[str]:
    questions = [f"{name} asked: {run.title}" for name, run in zip(names_of(runs), runs, strict=True)]
    same = (
        "on the same test samples"
        if same_patients(runs)
        else "on different test samples, so that their numbers cannot be compared in pairs"
    )
    return [
        " ".join(q if q.endswith((".", "?", "!")) else f"{q}." for q in questions),
        f"The runs were tested {same}.",
    ]


@dataclass(frozen=True)
class _Curves:
    """One curve a run, up to the budget that every run has spent."""

    unit: str
    curves: dict[str, BudgetCurve]


def equal_budgets(runs: Sequence[Run]) -> list[_Curves]:
    """Best value so far of every run in trials, minutes and, where all runs had GPUs, GPU hours; up to the smallest total."""
    found = []
    of_runs = [(run.of_role("search"), costs(run.of_role("search"))) for run in runs]
    for unit in (u for u in of_runs[0][1] if all(u in cost for _, cost in of_runs)):
        spent, curves = [], {}
        for trials, by_unit in of_runs:
            cost = by_unit[unit]
            value = trials["value"].where(trials["state"] == "complete").to_numpy(float)
            if len(cost) < 2 or not (cost > 0).all() or not np.isfinite(value).any():
                return []
            spent.append((value, cost))
        limit = min(float(cost.sum()) for _, cost in spent)
        for name, run, (value, cost) in zip(names_of(runs), runs, spent, strict=True):
            curves[name] = budget_curve(list(value), list(cost), limit, run.maximise)
        found.append(_Curves(unit, curves))
    return found


def _drawing(runs: Sequence[Run]) -> Drawing | None:
    parts = equal_budgets(runs)
    if not parts:
        return None
    with matplotlib.rc_context(STYLE):
        title = "Value for equal budgets"
        caption = (
            f"Best validation value so far ({long(runs[0].objective)}) as it was run, "
            "up to the smallest budget; bands hold 95 % of random orders of the same trials."
        )
        return drawn(
            _draw(parts, short(runs[0].objective)),
            "equal_budgets",
            NAME,
            title,
            caption,
            any(run.synthetic for run in runs),
        )


def _draw(parts: Sequence[_Curves], measure: str) -> Figure:
    figure = sheet()
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, part in zip(panels, parts, strict=True):
        for i, (name, curve) in enumerate(part.curves.items()):
            colour = PALETTE[i % len(PALETTE)]
            axes.fill_between(
                curve.budget, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0, step="post"
            )
            axes.step(curve.budget, curve.observed, where="post", color=colour, label=name)
        axes.set(xlabel=part.unit, xlim=(0, None))
    panels[0].set_ylabel(f"{measure}, validation")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure
