"""A paper's table on the page: one line for each row, ours and the published number in one cell.

The table itself has a group of rows for each row of the paper: ours, `KEY.published`, `KEY.difference`,
`KEY.verdict` and `KEY.against`. Files show these one below the other; the last one, the paired difference of
two rows of ours, only they show.
"""

import math
from html import escape

from study.reporting.papers import published, published_names
from study.reporting.rendering import marks
from study.reporting.table import Cell, Published, Row, Table, Value, VerdictCell

MERGED = ("published", "difference", "verdict", "against")
SIGNS = {"reproduced": "✓", "not reproduced": "✗", "cannot tell": "?"}
NUM_NAMES = 2  # columns with words, before those of the metrics


def has_paper_view(table: Table) -> bool:
    """Whether the table is one of a paper with a group of rows for each of its rows."""
    return table.name in published_names() and published(table.name).form == "compared"


def paper_rows(table: Table) -> str:
    """The inside of the table element: one row for each group, and what belongs to no cell below it."""
    head = "".join(
        f'<th scope="col" title="{escape(column.help)}">{escape(column.title)}</th>'
        for column in table.columns[NUM_NAMES:]
    )
    head = f'<td class="words"></td>{head}'
    by_key = {row.key: row for row in table.rows}
    lines = [
        _line(table, row, by_key)
        for row in table.rows
        if row.key.rpartition(".")[2] not in MERGED or row.lead
    ]
    return f"<thead><tr>{head}</tr></thead><tbody>\n{''.join(lines)}</tbody>"


def _line(table: Table, row: Row, by_key: dict[str, Row]) -> str:
    """Ours with what it is compared with; another line of the group by itself."""
    beside = {name: by_key[f"{row.key}.{name}"] for name in MERGED if f"{row.key}.{name}" in by_key}
    title, line = row.cells[0], row.cells[1]
    words = line.text.removeprefix("ours").lstrip(":, ")
    if not row.lead:
        words = line.text
    label = f"<b>{escape(title.text)}</b> " if title.text else ""
    note = f"<sup>{marks(table, line)}</sup>" if line.notes else ""
    name = f'{label}<span class="quiet">{escape(words)}{note}</span>'
    cells = "".join(
        _td(table, cell, {key: other.cells[place] for key, other in beside.items()})
        for place, cell in enumerate(row.cells[NUM_NAMES:], start=NUM_NAMES)
    )
    kind = "" if row.lead else ' class="more"'
    return f'<tr{kind} data-key="{escape(row.key)}"><th scope="row" class="words">{name}</th>{cells}</tr>\n'


def _td(table: Table, ours: Cell, beside: dict[str, Cell]) -> str:
    """Our number with its mark, then the published one and the difference in small print."""
    text, key = "", ""
    if isinstance(ours, Value):
        key = "" if math.isnan(ours.value) else f' data-value="{ours.value!r}"'
        shown = f"<b>{escape(ours.text)}</b>" if ours.bold else escape(ours.text)
        text = f"{shown}{_mark(table, ours)}{_sign(beside.get('verdict'))}"
        text += f'<span class="interval">{escape(ours.interval)}</span>' if ours.interval else ""
    elif ours.text:
        text = f'<span class="quiet">{escape(ours.text)}{_mark(table, ours)}</span>'
    theirs, difference = beside.get("published"), beside.get("difference")
    if isinstance(theirs, Published):
        less = f" ({escape(difference.text)})" if isinstance(difference, Value) else ""
        text += f'<span class="theirs">paper {escape(theirs.text)}{_mark(table, theirs)}{less}</span>'
    return f"<td{key}>{text}</td>"


def _mark(table: Table, cell: Cell) -> str:
    return f"<sup>{marks(table, cell)}</sup>" if cell.notes else ""


def _sign(verdict: Cell | None) -> str:
    """The verdict as a sign that is read aloud in words."""
    if not isinstance(verdict, VerdictCell):
        return ""
    kind = verdict.outcome.replace(" ", "-")
    words = escape(verdict.text)
    sign = f'<span class="verdict {kind}" role="img" aria-label="{words}" title="{words}">'
    return f" {sign}{SIGNS[verdict.outcome]}</span>"
