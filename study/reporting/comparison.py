"""A paper's table with our numbers beside the published ones."""

import math

from study.reporting.papers import PaperMetric, PaperRow, PaperTable, published
from study.reporting.results import ablation_trials, variant_cells
from study.reporting.run import Run
from study.reporting.table import MISSING, NOTHING, UNKNOWN, Cell, Column, Published, Row, Table, Text, Value


def compare(run: Run, name: str) -> Table | None:
    """Ours, published and difference of every row of a paper's table, rows that were not run included.

    None for data of another kind, unless the study has an ablation of that name.
    """
    paper = published(name)
    if paper.kind != run.kind and not was_run(run, name):
        return None
    rows: list[Row] = []
    for key, row in paper.rows.items():
        rows += _group(run, paper, key, row)
    for variant in _own_variants(run, paper):
        rows += _group(run, paper, variant, PaperRow(label=variant), in_paper=False)
    columns = (
        Column("row", "", words=True),
        Column("line", "", words=True),
        *(Column(key, metric.label, help=_help(metric)) for key, metric in paper.metrics.items()),
    )
    title = f"{paper.paper}, {paper.number}: {paper.title}"
    return Table(name, title, columns, tuple(rows), _caption(run, paper), _remarks(paper), run.synthetic)


def was_run(run: Run, name: str) -> bool:
    """True when the study holds at least one trial of the table."""
    return bool((run.of_role("ablation")["table"] == name).any())


def _own_variants(run: Run, paper: PaperTable) -> list[str]:
    trials = run.of_role("ablation")
    mine = [*run.study["ablations"].get(paper.name, ()), *trials[trials["table"] == paper.name]["variant"]]
    return [v for v in dict.fromkeys(mine) if v not in paper.rows]


def _group(run: Run, paper: PaperTable, key: str, row: PaperRow, *, in_paper: bool = True) -> list[Row]:
    ours = variant_cells(run, paper.name, key, [(m.measure, m.decision) for m in paper.metrics.values()])
    theirs = [_published(row, name, metric) for name, metric in paper.metrics.items()]
    lines = [_line(key, row.label, "ours", ours, _seeds(run, paper.name, key))]
    lines.append(_line(f"{key}.published", "", "published", theirs, "" if row.values else "not known to us" if in_paper else "no such row"))
    gaps = [_difference(a, b) for a, b in zip(ours, theirs, strict=True)]
    if any(isinstance(gap, Value) for gap in gaps):
        lines.append(_line(f"{key}.difference", "", "difference", gaps))
    return lines


def _line(key: str, label: str, name: str, cells: list[Cell], words: str = "") -> Row:
    """One line of a group; where all of its cells only repeat one word, the word stands once, beside the line's name."""
    first = cells[0]
    if isinstance(first, Text) and all(cell == first for cell in cells):
        words, cells = words or first.text, [NOTHING] * len(cells)
        return Row(key, (Text(label), Text(f"{name}: {words}", notes=first.notes, quiet=True), *cells), lead=bool(label))
    return Row(key, (Text(label), Text(f"{name}, {words}" if words else name), *cells), lead=bool(label))


def _seeds(run: Run, table: str, variant: str) -> str:
    complete = int((ablation_trials(run, table, variant)["state"] == "complete").sum())
    return f"mean of {complete}" if complete > 1 else ""


def _published(row: PaperRow, name: str, metric: PaperMetric) -> Cell:
    value = row.values.get(name)
    if value is None:
        return UNKNOWN
    return Published(value.value, value.derived, metric.digits, (f"Derived by us: {value.how}.",) if value.derived else ())


def _difference(ours: Cell, theirs: Cell) -> Cell:
    """Ours less theirs; the published number counts as exact, so the interval only moves."""
    if not isinstance(ours, Value) or not isinstance(theirs, Published) or math.isnan(ours.value):
        return NOTHING
    shift = theirs.value
    return Value(ours.value - shift, ours.low - shift, ours.high - shift, signed=True, origin=ours.origin)


def _help(metric: PaperMetric) -> str:
    return f"ours: {metric.measure.replace('_', ' ')}" if metric.measure else ""


def _caption(run: Run, paper: PaperTable) -> str:
    return f"Published: {paper.citation}; {paper.data}; split: {paper.split}. Ours: {run.study['dataset']}, test split, patients apart."


def _remarks(paper: PaperTable) -> tuple[str, ...]:
    choices = (f"Not stated in the paper, our choice: {' '.join(paper.our_choices)}",) if paper.our_choices else ()
    gaps = any(len(row.values) not in (0, len(paper.metrics)) for row in paper.rows.values())
    dash = (f"{MISSING} not known to us.",) if gaps else ()
    return (f"Published numbers: {paper.source}.", *dash, *paper.remarks, *choices)
