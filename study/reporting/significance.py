"""The numbers of a table of which a test says that they are better.

They are printed bold. Where two rows are one training each, a number that is better has a note instead: a
difference between two trainings is none between their methods.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from study.evidence.statistics.comparison import Comparison, holm
from study.reporting.estimates import estimates_of
from study.reporting.results import row_collapse_words
from study.reporting.run import Run
from study.reporting.table import Cell, Origin, Row, Table, Tested, Value

SIGNIFICANCE = 0.05
ONE_SEED = (
    f"Better at p < {SIGNIFICANCE:.2f} for these very networks, which were trained with one seed each; "
    "that says nothing about their methods."
)
Address = tuple[str, str]  # row, column


def with_bold(run: Run, table: Table, reference: str, rows: Sequence[str], title: str) -> Table:
    """The table with its better numbers in bold and the rule for that below it.

    No number is bold against a reference that has collapsed; the table then says why.

    Args:
        run: The run.
        table: Its rows hold numbers with origins.
        reference: Key of the row that all others are compared with.
        rows: Keys of the others.
        title: The reference row in words.

    Returns:
        the same table where nothing can be compared.
    """
    compared = comparisons(run, table, reference, rows)
    if not compared:
        return table
    if words := row_collapse_words(run, next(row for row in table.rows if row.key == reference)):
        return replace(table, remarks=(*table.remarks, no_bold_against(title, words)))
    adjusted = dict(zip(compared, holm([c.p_value for c in compared.values()]), strict=True))
    tested = {
        address: Tested(
            against=reference,
            test=of.test,
            p_value=of.p_value,
            adjusted=adjusted[address],
            num_comparisons=len(compared),
        )
        for address, of in compared.items()
    }
    better = _better(run, table, reference, compared, adjusted)
    one_seed = {address for address in compared if _is_one_seed(run, table, reference, address)}
    marked = tuple(
        replace(row, cells=_marked(table, row, reference, better, one_seed, tested)) for row in table.rows
    )
    rule = (
        f"Bold: better than {title} at p < {SIGNIFICANCE:.2f}; {title} itself where it is better than every "
        "other row. Paired tests on the same patients, Holm-corrected over the "
        f"{len(compared)} comparisons with it."
    )
    if one_seed:
        rule += " No number is bold between two networks of one seed each."
    return replace(table, rows=marked, remarks=(*table.remarks, rule))


def no_bold_against(title: str, words: str) -> str:
    """Why nothing is compared with a reference that has collapsed.

    Args:
        title: The reference in words.
        words: Its `collapse_words`.
    """
    why = "because to be better than a collapsed training shows nothing."
    return f"No number is bold against {title}, {why} {words}"


def comparisons(run: Run, table: Table, reference: str, rows: Sequence[str]) -> dict[Address, Comparison]:
    """The difference of each row from the reference row in every column with numbers."""
    origins = {
        (row.key, column.key): cell.origin
        for row, column, cell in table.cells()
        if isinstance(cell, Value) and cell.origin and not (row.key in rows and math.isnan(cell.value))
    }
    found = {}
    for (row, column), origin in origins.items():
        other = origins.get((reference, column))
        if row not in rows or other is None:
            continue
        compared = estimates_of(run).compared(origin, other)
        if compared is not None and not math.isnan(compared.p_value):
            found[row, column] = compared
    return found


def _better(
    run: Run,
    table: Table,
    reference: str,
    compared: Mapping[Address, Comparison],
    p_values: Mapping[Address, float],
) -> set[Address]:
    """The numbers that are better than the reference, and those of the reference that are better than all."""
    bold = set()
    for column in {column for _, column in compared}:
        cell = table.cell(reference, column)
        if not isinstance(cell, Value) or cell.origin is None:
            continue
        sign = 1 if estimates_of(run).greater_is_better(cell.origin.measure) else -1
        gains = {row: sign * c.difference for (row, of), c in compared.items() if of == column}
        sure = {row for row in gains if p_values[row, column] < SIGNIFICANCE}
        bold |= {(row, column) for row in sure if gains[row] > 0}
        if all(row in sure and not gains[row] > 0 for row in gains):
            bold.add((reference, column))
    return bold


def _is_one_seed(run: Run, table: Table, reference: str, address: Address) -> bool:
    """Whether a comparison is between two networks of one seed each, none of which is a baseline."""
    row, column = address
    cells = [table.cell(row, column), table.cell(reference, column)]
    return one_seed_each(run, [cell.origin for cell in cells if isinstance(cell, Value) and cell.origin])


def one_seed_each(run: Run, origins: Sequence[Origin]) -> bool:
    """Whether each number rests on one seed of a training; a baseline is no training."""
    roles = [{str(run.of_trial(trial, "role")) for trial in origin.trials} for origin in origins]
    seeds = [{int(run.of_trial(trial, "seed")) for trial in origin.trials} for origin in origins]
    return all(len(of) == 1 for of in seeds) and not any("baseline" in of for of in roles)


def _marked(
    table: Table,
    row: Row,
    reference: str,
    better: set[Address],
    one_seed: set[Address],
    tested: Mapping[Address, Tested],
) -> tuple[Cell, ...]:
    """The cells of a row, bold or with a note where they are better, and with their tests."""
    cells: list[Cell] = []
    for column, cell in zip(table.columns, row.cells, strict=True):
        address = row.key, column.key
        if isinstance(cell, Value):
            cell = replace(cell, tested=tested.get(address, cell.tested))  # a table may be tested in parts
            pairs = {other for other in tested if other[1] == column.key and row.key in (other[0], reference)}
            if address in better and pairs & one_seed:
                cell = replace(cell, notes=(*cell.notes, ONE_SEED))
            elif address in better:
                cell = replace(cell, bold=True)
        cells.append(cell)
    return tuple(cells)
