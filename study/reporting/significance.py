"""Which numbers of a table are printed bold: only those that a test supports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from study.evidence.statistics.comparison import Comparison, holm
from study.reporting.estimates import estimates_of
from study.reporting.run import Run
from study.reporting.table import Cell, Row, Table, Value

SIGNIFICANCE = 0.05
Address = tuple[str, str]


def with_bold(run: Run, table: Table, reference: str, rows: Sequence[str], title: str) -> Table:
    """The table with earned numbers in bold and the rule below it; unchanged where nothing can be compared.

    Args:
        run: the run.
        table: its rows hold measured values with origins.
        reference: key of the row that all others are compared with.
        rows: keys of the others.
        title: the reference row in words.
    """
    compared = comparisons(run, table, reference, rows)
    if not compared:
        return table
    p_values = dict(zip(compared, holm([c.p_value for c in compared.values()]), strict=True))
    bold = _earned(run, table, reference, compared, p_values)
    marked = tuple(replace(row, cells=_marked(table, row, bold)) for row in table.rows)
    rule = (
        f"Bold: better than {title} at p < {SIGNIFICANCE:.2f}; {title} itself where it is better than every other row. "
        f"Paired tests on the same patients, Holm-corrected over the {len(compared)} comparisons of this table."
    )
    return replace(table, rows=marked, remarks=(*table.remarks, rule))


def comparisons(run: Run, table: Table, reference: str, rows: Sequence[str]) -> dict[Address, Comparison]:
    """Each row's difference from the reference row in every measured column, by (row, column)."""
    values = {(r.key, c.key): cell for r, c, cell in table.cells() if isinstance(cell, Value) and cell.origin}
    found = {}
    for (row, column), cell in values.items():
        other = values.get((reference, column))
        if (
            row not in rows
            or other is None
            or cell.origin is None
            or other.origin is None
            or math.isnan(cell.value)
        ):
            continue
        compared = estimates_of(run).compared(cell.origin, other.origin)
        if compared is not None and not math.isnan(compared.p_value):
            found[row, column] = compared
    return found


def _earned(
    run: Run,
    table: Table,
    reference: str,
    compared: Mapping[Address, Comparison],
    p_values: Mapping[Address, float],
) -> set[Address]:
    bold = set()
    for column in {column for _, column in compared}:
        cell = table.cell(reference, column)
        if not isinstance(cell, Value) or cell.origin is None:
            continue
        sign = 1 if estimates_of(run).greater_is_better(cell.origin.measure) else -1
        won = {
            row: sign * c.difference > 0
            for (row, c_), c in compared.items()
            if c_ == column and p_values[row, c_] < SIGNIFICANCE
        }
        bold |= {(row, column) for row, better in won.items() if better}
        rivals = [row for row, c_ in compared if c_ == column]
        if len(won) == len(rivals) and not any(won.values()):
            bold.add((reference, column))
    return bold


def _marked(table: Table, row: Row, bold: set[Address]) -> tuple[Cell, ...]:
    return tuple(
        replace(cell, bold=True) if isinstance(cell, Value) and (row.key, column.key) in bold else cell
        for column, cell in zip(table.columns, row.cells, strict=True)
    )
