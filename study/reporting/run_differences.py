"""How each of several runs differs from the first one on the same test patients: a table and a forest plot.

Source: Lewis & Clarke 2001, Forest plots: trying to see the wood and the trees.
Differs: the rows are runs, and they are not pooled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.evidence.statistics.comparison import Comparison, holm, paired
from study.reporting.answer import with_interval
from study.reporting.estimates import estimates_of
from study.reporting.figure import BLUE, GREY, WIDTH, Drawing, drawn, sheet, style
from study.reporting.measures import full_name, short_name
from study.reporting.results import measured
from study.reporting.run import Run
from study.reporting.table import Column, Origin, Row, Table, Tested, Text, Value

ROW = 0.22  # inches
Differences = Mapping[tuple[int, str], Comparison]
"""Each run less the first one, by the run's place and the measure."""

NO_TEST = "No test between the runs: they have not all chosen a trial that was tested on the same patients."


def same_patients(runs: Sequence[Run]) -> bool:
    """Whether all chosen trials were tested on the same samples of the same data."""
    found = [run.chosen_predictions() for run in runs]
    samples = {tuple(sorted(predictions.sample)) for predictions in found if predictions is not None}
    data = {run.study["data_fingerprint"] for run in runs}
    return all(predictions is not None for predictions in found) and len(samples) == len(data) == 1


def differences_of(runs: Sequence[Run], tests: Sequence[str]) -> Differences:
    """The paired differences in these measures.

    There are none where the runs were tested on different samples, or where their folds make other groups of
    patients, which must be left out alike in both.
    """
    if not same_patients(runs):
        return {}
    differences = {}
    for measure in tests:
        origins = [Origin(trials=(str(run.best),), measure=measure) for run in runs]
        first, *others = [estimates_of(run).of(origin) for run, origin in zip(runs, origins, strict=True)]
        for i, other in enumerate(others, 1):
            if first is not None and other is not None and _same_groups(runs[0], runs[i]):
                differences[i, measure] = paired(other, first)
    return differences


def _same_groups(run: Run, other: Run) -> bool:
    """Whether the estimates of both leave out the same groups of test patients."""
    return estimates_of(run).left_out_of("test") == estimates_of(other).left_out_of("test")


def adjusted_p(differences: Differences) -> Mapping[tuple[int, str], float]:
    """The p-values by the same keys, Holm-corrected over all of them."""
    return dict(zip(differences, holm([found.p_value for found in differences.values()]), strict=True))


def differences_table(
    runs: Sequence[Run], names: Sequence[str], tests: Sequence[str], differences: Differences
) -> Table:
    """One row for each run but the first: what its chosen trial has more than that of the first one."""
    adjusted = adjusted_p(differences)
    rows = []
    for i, name in enumerate(names[1:], 1):
        cells = [
            _cell(differences.get((i, m)), adjusted.get((i, m)), names[0], len(differences)) for m in tests
        ]
        rows.append(Row(str(i), (Text(name), *cells)))
    return Table(
        name="run_differences",
        title=f"Differences from {names[0]} on the same test patients",
        columns=(
            Column("run", "Run", words=True),
            *(Column(measure, short_name(measure), help=full_name(measure)) for measure in tests),
        ),
        rows=tuple(rows),
        caption=(
            "Paired differences with 95 % intervals over patients, which are not corrected for their number; "
            "the CSV file has the p-values before and after Holm's correction."
        ),
        remarks=("Each run's chosen trial is one training: these are differences between networks.",),
        synthetic=any(run.synthetic for run in runs),
    )


def _difference(found: Comparison) -> Value:
    return Value(value=found.difference, low=found.low, high=found.high, signed=True)


def _cell(found: Comparison | None, adjusted: float | None, against: str, num: int) -> Value:
    """The difference with its test; a dash where there is none."""
    if found is None or adjusted is None:
        return Value(value=float("nan"))
    tested = Tested(
        against=against, test=found.test, p_value=found.p_value, adjusted=adjusted, num_comparisons=num
    )
    return replace(_difference(found), tested=tested)


def forest_of_runs(runs: Sequence[Run], names: Sequence[str], differences: Differences) -> Drawing | None:
    """The objective of each run on its test patients, and beside it the difference from the first run.

    None where fewer than two runs have chosen a trial.
    """
    measure = runs[0].objective
    values = {}
    for i, run in enumerate(runs):
        cell = measured(run, Origin(trials=(run.best,), measure=measure)) if run.best else None
        if isinstance(cell, Value) and cell.value == cell.value:
            values[i] = cell
    if len(values) < 2:
        return None
    paired_words = (
        f" Right: the paired difference from {names[0]} on the same patients."
        if differences
        else f" {NO_TEST}"
    )
    with style():
        return drawn(
            _draw(values, names, measure, differences),
            name="runs_forest",
            section="runs",
            title="The chosen trials on the test patients",
            caption=(
                f"{full_name(measure)[0].upper()}{full_name(measure)[1:]} of each run's chosen trial, with "
                f"95 % intervals over patients.{paired_words}"
            ),
            synthetic=any(run.synthetic for run in runs),
        )


def _draw(
    values: Mapping[int, Value], names: Sequence[str], measure: str, differences: Differences
) -> Figure:
    figure = sheet(WIDTH, 0.7 + ROW * len(values))
    panels = figure.subplots(1, 2 if differences else 1, sharey=True, squeeze=False)[0]
    compared = {i: _difference(differences[i, measure]) for i in values if (i, measure) in differences}
    places = {i: y for y, i in enumerate(values)}
    _draw_panel(panels[0], places, values, f"{short_name(measure)}, test")
    if differences:
        panels[1].axvline(0, color=GREY, linewidth=0.8)
        _draw_panel(panels[1], places, compared, f"difference in {short_name(measure)} from {names[0]}")
    panels[0].set_yticks(list(places.values()), [names[i] for i in places])
    panels[0].set_ylim(len(places) - 0.4, -0.7)
    return figure


def _draw_panel(axes: Axes, places: Mapping[int, int], values: Mapping[int, Value], name: str) -> None:
    """A line for each interval, with its numbers at the right."""
    for i, value in values.items():
        y = places[i]
        axes.hlines(y, value.low, value.high, color=BLUE, linewidth=1.4)
        axes.scatter(value.value, y, s=24, color=BLUE, zorder=3)
        beside: Any = {"xycoords": ("axes fraction", "data"), "va": "center", "size": 7.5}
        axes.annotate(with_interval(value), (1.01, y), **beside)
    axes.margins(x=0.1)
    axes.set_xlabel(name)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
