"""Several runs on one page: what each chose, and which is better on the same patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from study.evidence.statistics.budgets import BudgetCurve, budget_curve
from study.reporting.assembly import drawing_files, table_files
from study.reporting.deciding import decisions_sentence
from study.reporting.estimates import estimates_of
from study.reporting.figure import PALETTE, Drawing, drawn, sheet, style
from study.reporting.figures.budget import costs
from study.reporting.hero import Hero
from study.reporting.measures import full_name, headline, short_name
from study.reporting.networks import network_words, parts_of
from study.reporting.page import page
from study.reporting.redaction import publishable, without_folders
from study.reporting.results import collapse_words, measured
from study.reporting.run import Run
from study.reporting.run_differences import (
    NO_TEST,
    Differences,
    adjusted_p,
    differences_of,
    differences_table,
    forest_of_runs,
    same_patients,
)
from study.reporting.significance import ONE_SEED, SIGNIFICANCE, no_bold_against
from study.reporting.table import Cell, Column, Origin, Row, Table, Text, Value, count
from study.spec.errors import SpecError

SECTION = TABLE = "runs"


def side_by_side(runs: Sequence[Run]) -> dict[str, bytes]:
    """The page `compared.html` with its tables and figures, as files by their path.

    Raises:
        SpecError: The runs are on different kinds of data, or optimise different measures.
    """
    _require_one("kind of data", [run.kind for run in runs])
    _require_one("objective", [run.objective for run in runs])
    names, tests = names_of(runs), headline(runs[0].kind, runs[0].objective)
    differences = differences_of(runs, tests)
    tables = [runs_table(runs)]
    if differences:
        tables.append(differences_table(runs, names, tests, differences))
    tables = list(map(publishable, tables))
    found = forest_of_runs(runs, names, differences), _drawing(runs)
    drawings = [drawing for drawing in found if drawing]
    hero = Hero(
        name=" · ".join(names),
        title=f"{len(runs)} runs side by side",
        meta=f"{full_name(runs[0].objective)}, test split",
        synthetic=any(run.synthetic for run in runs),
    )
    paragraphs = {SECTION: list(map(without_folders, _paragraphs(runs)))}
    html = page(hero, paragraphs, [(SECTION, table) for table in tables], drawings)
    parts = [*map(table_files, tables), *map(drawing_files, drawings)]
    return {name: data for part in parts for name, data in part.items()} | {"compared.html": html.encode()}


def _require_one(what: str, values: Sequence[str]) -> None:
    if len(set(values)) > 1:
        got = ", ".join(dict.fromkeys(values))
        raise SpecError(f"`RUN`: runs side by side must have one {what}, got {got}. Report them apart.")


def names_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names, numbered where they are equal."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]


def runs_table(runs: Sequence[Run]) -> Table:
    """One row for each run: what it chose, and the test measures of that.

    A number has a note where it is better than the first run's on the same patients.
    """
    tests = headline(runs[0].kind, runs[0].objective)
    names = names_of(runs)
    better, remark = _better(runs, names, differences_of(runs, tests))
    rows = []
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        facts = (Text(name), Text(str(run.study["dataset"])), count(len(run.of_role("search"))))
        marked = {measure for row, measure in better if row == i}
        rows.append(Row(str(i), (*facts, *_chosen_cells(run, tests, marked))))
    columns = (
        Column("run", "Run", words=True),
        Column("dataset", "Data", words=True),
        Column("trials", "Trials"),
        Column("chosen", "Chosen trial", words=True),
        *(Column(measure, short_name(measure), help=full_name(measure)) for measure in tests),
    )
    return Table(
        name=TABLE,
        title="What each run chose",
        columns=columns,
        rows=tuple(rows),
        caption=(
            "Chosen trial of each run on its test split, with 95 % intervals over patients."
            f"{_decisions(runs, tests)}"
        ),
        remarks=(remark,),
        synthetic=any(run.synthetic for run in runs),
    )


def _decisions(runs: Sequence[Run], tests: Sequence[str]) -> str:
    """The sentence on thresholds, of each run where they differ."""
    sentences = [decisions_sentence(run, tests) for run in runs]
    if len(set(sentences)) == 1:
        return sentences[0]
    return "".join(f" {name}:{sentence}" for name, sentence in zip(names_of(runs), sentences, strict=True))


def _chosen_cells(run: Run, tests: Sequence[str], better: set[str]) -> list[Cell]:
    if run.best is None:
        return [Text("no complete trial", quiet=True), *[Value(value=math.nan)] * len(tests)]
    cells: list[Cell] = [Text(f"{run.best} ({network_words(parts_of(run, run.best))})")]
    for measure in tests:
        cell = measured(run, Origin(trials=(run.best,), measure=measure))
        if measure in better and isinstance(cell, Value):
            cell = replace(cell, notes=(*cell.notes, ONE_SEED))
        cells.append(cell)
    return cells


def _better(
    runs: Sequence[Run], names: Sequence[str], differences: Differences
) -> tuple[set[tuple[int, str]], str]:
    """The better numbers by place of the run and measure, and the rule for them in words."""
    if not differences:
        return set(), NO_TEST
    if words := collapse_words(runs[0], [str(runs[0].best)]):
        return set(), no_bold_against(names[0], words)
    greater, adjusted = estimates_of(runs[0]).greater_is_better, adjusted_p(differences)
    better = {
        address
        for address, found in differences.items()
        if adjusted[address] < SIGNIFICANCE and (found.difference > 0) == greater(address[1])
    }
    rule = (
        f"Compared with {names[0]} by paired t tests over patients, Holm-corrected over this table. "
        "No number is bold, because each run's chosen trial is one training."
    )
    return better, rule


def _paragraphs(runs: Sequence[Run]) -> list[str]:
    questions = [f"{name} asked: {run.title}" for name, run in zip(names_of(runs), runs, strict=True)]
    ended = [q if q.endswith((".", "?", "!")) else f"{q}." for q in questions]
    samples = "on different test samples, so that their numbers cannot be compared in pairs"
    if same_patients(runs):
        samples = "on the same test samples"
    return [" ".join(ended), f"The runs were tested {samples}."]


@dataclass(frozen=True)
class _Curves:
    """One curve for each run, up to the budget that every run has spent.

    Attributes:
        unit: Unit of the budget.
        curves: The curves by name of the run.
    """

    unit: str
    curves: dict[str, BudgetCurve]


def equal_budgets(runs: Sequence[Run]) -> list[_Curves]:
    """Best value so far of every run, up to the smallest total.

    The budgets are trials, minutes and, where all runs had GPUs, GPU hours.
    """
    of_runs = [(run.of_role("search"), costs(run.of_role("search"))) for run in runs]
    units = [unit for unit in of_runs[0][1] if all(unit in cost for _, cost in of_runs)]
    found = []
    for unit in units:
        spent = []
        for trials, by_unit in of_runs:
            cost = by_unit[unit]
            value = trials["value"].where(trials["state"] == "complete").to_numpy(float)
            if len(cost) < 2 or not (cost > 0).all() or not np.isfinite(value).any():
                return []
            spent.append((value, cost))
        limit = min(float(cost.sum()) for _, cost in spent)
        curves = {
            name: budget_curve(list(value), list(cost), limit)
            for name, (value, cost) in zip(names_of(runs), spent, strict=True)
        }
        found.append(_Curves(unit, curves))
    return found


def _drawing(runs: Sequence[Run]) -> Drawing | None:
    parts = equal_budgets(runs)
    if not parts:
        return None
    with style():
        return drawn(
            _draw(parts, short_name(runs[0].objective)),
            name="equal_budgets",
            section=SECTION,
            title="Value for equal budgets",
            caption=(
                f"Best validation value so far ({full_name(runs[0].objective)}) as each search was run, up "
                "to the smallest budget; each band holds 95 % of random orders of the same trials."
            ),
            synthetic=any(run.synthetic for run in runs),
        )


def _draw(parts: Sequence[_Curves], measure: str) -> Figure:
    figure = sheet()
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, part in zip(panels, parts, strict=True):
        for i, (name, curve) in enumerate(part.curves.items()):
            colour = PALETTE[i % len(PALETTE)]
            band = {"color": colour, "alpha": 0.13, "linewidth": 0, "step": "post"}
            axes.fill_between(curve.budget, curve.low, curve.high, **band)
            axes.step(curve.budget, curve.observed, where="post", color=colour, label=name)
        axes.set(xlabel=part.unit, xlim=(0, None))
    panels[0].set_ylabel(f"{measure}, validation")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure
