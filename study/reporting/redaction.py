"""A report can be published as it is: it names files and folders of the machine it was made on by their last part only."""

import re
from dataclasses import replace

from study.reporting.table import Cell, Row, Table, Text

# Two parts or more from the root, a drive, a home folder or file://; not inside a word, a fraction or another URI.
_PATH = re.compile(
    r"""(?<![\w.:/\\~…+-])(?:file://|~[\w.-]*|[A-Za-z]:)?(?:[/\\][^\s/\\'"`,;:()<>\[\]{}|=]+){2,}[/\\]?"""
)


def without_folders(text: str) -> str:
    """`/home/me/eyes/odir5k` as `…/odir5k`, wherever in the text; URIs of other machines stay."""
    return _PATH.sub(lambda found: "…/" + found[0].replace("\\", "/").rstrip("/").rsplit("/", 1)[1], text)


def publishable(table: Table) -> Table:
    """The table without folders in any of its words."""
    rows = tuple(
        Row(without_folders(row.key), tuple(map(_publishable, row.cells)), row.lead) for row in table.rows
    )
    remarks = tuple(map(without_folders, table.remarks))
    return replace(
        table,
        rows=rows,
        remarks=remarks,
        title=without_folders(table.title),
        caption=without_folders(table.caption),
    )


def _publishable(cell: Cell) -> Cell:
    notes = tuple(map(without_folders, cell.notes))
    if isinstance(cell, Text):
        return replace(cell, text=without_folders(cell.text), notes=notes)
    return replace(cell, notes=notes) if notes else cell
