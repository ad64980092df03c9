"""A report can be published as it is: it names the files and folders of a machine by their last part only."""

import re
from dataclasses import replace

from study.reporting.table import Cell, Row, Table, Text

# Two parts or more from the root, a drive, a home folder or file://; not inside a word, a fraction or a URI.
_PATH = re.compile(
    r"""(?<![\w.:/\\~…+-])(?:file://|~[\w.-]*|[A-Za-z]:)?(?:[/\\][^\s/\\'"`,;:()<>\[\]{}|=]+){2,}[/\\]?"""
)


def without_folders(text: str) -> str:
    """The text with `…/odir5k` for `/home/me/eyes/odir5k`; URIs of other machines stay."""
    return _PATH.sub(lambda found: "…/" + found[0].replace("\\", "/").rstrip("/").rsplit("/", 1)[1], text)


def publishable(table: Table) -> Table:
    """The table without folders in any of its words."""
    return replace(
        table,
        title=without_folders(table.title),
        rows=tuple(map(_publishable_row, table.rows)),
        caption=without_folders(table.caption),
        remarks=tuple(map(without_folders, table.remarks)),
    )


def _publishable_row(row: Row) -> Row:
    return replace(row, key=without_folders(row.key), cells=tuple(map(_publishable_cell, row.cells)))


def _publishable_cell(cell: Cell) -> Cell:
    notes = tuple(map(without_folders, cell.notes))
    if isinstance(cell, Text):
        chips = tuple(map(without_folders, cell.chips))
        return replace(cell, text=without_folders(cell.text), notes=notes, chips=chips)
    return replace(cell, notes=notes) if notes else cell
