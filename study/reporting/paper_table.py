"""A paper's table with our numbers beside the published ones."""

import math
from dataclasses import replace

from study.evidence.statistics.verdict import MAX_TOLERANCE, judge
from study.reporting.anomalies import anomalies
from study.reporting.estimates import estimates_of
from study.reporting.papers import PaperMetric, PaperTable, published
from study.reporting.row_trials import CHOSEN, base_trials, row_trials
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import (
    MISSING,
    NOTHING,
    UNKNOWN,
    Cell,
    Column,
    Published,
    Row,
    Table,
    Text,
    Value,
    Verdict,
)


def paper_table(run: Run, name: str) -> Table | None:
    """RowTrials, published, difference, verdict and what sets a row apart from the paper's own proposal; rows not run included.

    None for data of another kind, unless the study has an ablation of that name.
    """
    paper = published(name)
    variants = _own_variants(run, paper)
    if paper.kind != run.kind and not variants and not was_run(run, name):
        return None
    own = [*variants, *([CHOSEN] if paper.with_chosen and run.best else [])]
    groups = {key: _ours_line(run, paper, key) for key in (*paper.rows, *own)}
    reference = _reference(paper, groups)
    rows = [
        line for key, mine in groups.items() for line in _group(run, paper, key, mine, groups.get(reference))
    ]
    columns = (
        Column("row", "", words=True),
        Column("line", "", words=True),
        *(Column(key, metric.label, help=_help(metric)) for key, metric in paper.metrics.items()),
    )
    title = f"{paper.paper}, {paper.number}: {paper.title}"
    table = Table(
        name, title, columns, tuple(rows), _caption(run, paper), _remarks(run, paper), run.synthetic
    )
    if not reference:
        return table
    return with_bold(
        run, table, reference, [key for key in groups if key != reference], groups[reference].cells[0].text
    )


def was_run(run: Run, name: str) -> bool:
    """True when the study holds at least one trial of the table."""
    return bool((run.of_role("ablation")["table"] == name).any())


def _own_variants(run: Run, paper: PaperTable) -> list[str]:
    """Variants of the ablation that the paper has no row for."""
    if paper.rows_are != "variants":
        return []
    trials = run.of_role("ablation")
    mine = [*run.study["ablations"].get(paper.name, ()), *trials[trials["table"] == paper.name]["variant"]]
    return [v for v in dict.fromkeys(mine) if v not in paper.rows]


def _ours_line(run: Run, paper: PaperTable, key: str) -> Row:
    found = row_trials(run, paper, key)
    cells = found.cells(run, [(m.measure, m.decision, _class(run, m)) for m in paper.metrics.values()])
    label = paper.rows[key].label if key in paper.rows else "chosen trial" if key == CHOSEN else key
    return _line(key, label, "ours", cells, found.words)


def _class(run: Run, metric: PaperMetric) -> str:
    """The label whose own value stands in the column; empty for an aggregate."""
    return run.labels[metric.class_] if metric.class_ is not None and metric.class_ < len(run.labels) else ""


def _reference(paper: PaperTable, groups: dict[str, Row]) -> str:
    """The paper's own proposal where we ran it, else our first row; empty where there is none."""
    run_rows = [key for key, row in groups.items() if any(isinstance(cell, Value) for cell in row.cells)]
    return paper.reference if paper.reference in run_rows else next(iter(run_rows), "")


def _group(run: Run, paper: PaperTable, key: str, mine: Row, reference: Row | None) -> list[Row]:
    cells = list(mine.cells[2:])
    notes = anomalies(paper, key) if key in paper.rows else {}
    theirs = [_published(paper, key, metric, notes.get(metric, "")) for metric in paper.metrics]
    known = key in paper.rows and bool(paper.rows[key].values)
    unknown = "" if known else "not known to us" if key in paper.rows else "no such row"
    lines = [mine, _line(f"{key}.published", "", "published", theirs, unknown)]
    pairs = list(zip(cells, theirs, strict=True))
    if any(isinstance(_difference(a, b), Value) for a, b in pairs):
        lines.append(_line(f"{key}.difference", "", "difference", [_difference(a, b) for a, b in pairs]))
        verdicts = [
            _verdict(run, a, b) if _comparable(run, paper) else Verdict("cannot tell") for a, b in pairs
        ]
        lines.append(_line(f"{key}.verdict", "", "verdict", verdicts))
    if reference is not None and reference.key != key:
        against = [_against(run, a, b) for a, b in zip(cells, reference.cells[2:], strict=True)]
        if any(isinstance(cell, Value) for cell in against):
            lines.append(_line(f"{key}.against", "", f"ours against {reference.cells[0].text}", against))
    return lines


def _line(key: str, label: str, name: str, cells: list[Cell], words: str = "") -> Row:
    """One line of a group; where all of its cells only repeat one word, the word stands once, beside the line's name."""
    first = cells[0]
    if isinstance(first, Text | Verdict) and all(cell == first for cell in cells):
        words, cells = words or first.text, [NOTHING] * len(cells)
        return Row(
            key,
            (Text(label), Text(f"{name}: {words}", notes=first.notes, quiet=True), *cells),
            lead=bool(label),
        )
    return Row(key, (Text(label), Text(f"{name}, {words}" if words else name), *cells), lead=bool(label))


def _published(paper: PaperTable, row: str, metric: str, note: str) -> Cell:
    value = paper.rows[row].values.get(metric) if row in paper.rows else None
    if value is None:
        return UNKNOWN
    notes = [f"Derived by us: {value.how}."] if value.derived else []
    return Published(
        value.value, value.derived, paper.metrics[metric].digits, (*notes, *([note] if note else []))
    )


def _difference(mine: Cell, theirs: Cell) -> Cell:
    """RowTrials less theirs; the published number counts as exact, so the interval only moves."""
    if not isinstance(mine, Value) or not isinstance(theirs, Published) or math.isnan(mine.value):
        return NOTHING
    shift = theirs.value
    origin = replace(mine.origin, less=shift) if mine.origin else None
    return Value(mine.value - shift, mine.low - shift, mine.high - shift, signed=True, origin=origin)


def _verdict(run: Run, mine: Cell, theirs: Cell) -> Cell:
    if not isinstance(mine, Value) or not isinstance(theirs, Published) or mine.origin is None:
        return NOTHING
    found = estimates_of(run).of(mine.origin)
    return Verdict("cannot tell") if found is None else Verdict(judge(found, theirs.value).verdict)


def _comparable(run: Run, paper: PaperTable) -> bool:
    """Whether ours were measured on the paper's data."""
    return not run.synthetic and run.study["dataset"] == paper.dataset


def _against(run: Run, mine: Cell, reference: Cell) -> Cell:
    """The paired difference from the reference row."""
    if (
        not isinstance(mine, Value)
        or not isinstance(reference, Value)
        or mine.origin is None
        or reference.origin is None
    ):
        return NOTHING
    found = estimates_of(run).compared(mine.origin, reference.origin)
    if found is None:
        return NOTHING
    return Value(
        found.difference,
        found.low,
        found.high,
        signed=True,
        origin=replace(mine.origin, minus=reference.origin),
    )


def _help(metric: PaperMetric) -> str:
    return f"ours: {metric.measure.replace('_', ' ')}" if metric.measure else ""


def _caption(run: Run, paper: PaperTable) -> str:
    base = base_trials(run, paper)
    on = f", on the embedding of {' and '.join(base)}" if paper.rows_are != "variants" and base else ""
    return f"Published: {paper.citation}; {paper.data}; split: {paper.split}. RowTrials: {run.study['dataset']}, test split, patients apart{on}."


def _remarks(run: Run, paper: PaperTable) -> tuple[str, ...]:
    found = [f"Published numbers: {paper.source}."]
    if any(len(row.values) not in (0, len(paper.metrics)) for row in paper.rows.values()):
        found.append(f"{MISSING} not known to us.")
    found.append(
        "With each number: its 95 % interval from resampled patients, and from resampled seeds where there are several; ± is over seeds."
    )
    if _comparable(run, paper):
        found.append(
            "Verdict: equivalence test at 5 %; the tolerance is 1.96 √2 times the spread of one of our own trainings, "
            f"{MAX_TOLERANCE:.2f} at most."
        )
    else:
        found.append("No verdict can be given, because ours were not measured on the paper's images.")
    choices = (
        (f"Not stated in the paper, our choice: {' '.join(paper.our_choices)}",) if paper.our_choices else ()
    )
    return (*found, *paper.remarks, *choices)
