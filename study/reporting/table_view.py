"""A table as a figure of the page; the page's style sheet gives it its looks."""

import math
from html import escape

from study.reporting import rendering
from study.reporting.paper_view import has_paper_view, paper_rows
from study.reporting.rendering import MAX_ROWS_WITHOUT_SCROLLING, marks
from study.reporting.table import Cell, Column, Published, Row, Table, Text, Value, VerdictCell

MOST_CHIPS = 5  # of a cell; the others open at a click
MOST_NOTES = 1  # that are seen at once


def table_view(table: Table) -> str:
    """The table in a frame that scrolls, its caption with links above and its notes below."""
    kind = ' class="sortable"' if table.sortable else ""
    long = " long" if len(table.rows) > MAX_ROWS_WITHOUT_SCROLLING else ""
    if has_paper_view(table):
        inside, kind = paper_rows(table), ' class="paper"'
    else:
        inside = _inside(table)
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
    return (
        f'<figure class="table{long}" id="table-{escape(table.name)}">'
        f"<figcaption>{_caption(table)}</figcaption>"
        f"{scroll}<table{kind}>{inside}</table></div>{_notes(table)}{_latex(table)}</figure>"
    )


def _inside(table: Table) -> str:
    head = "".join(_th(column, sortable=table.sortable) for column in table.columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(column.title for column in table.columns) else ""
    return f"{head}<tbody>\n{''.join(_tr(table, row) for row in table.rows)}</tbody>"


def _caption(table: Table) -> str:
    links = "".join(
        f' <a href="tables/{escape(table.name)}.{end}" download>{name}</a>'
        for end, name in (("csv", "CSV"), ("tex", "LaTeX"), ("md", "Markdown"))
    )
    return f'<b>{escape(table.title)}.</b> {escape(table.caption)} <span class="links">{links}</span>'


def _notes(table: Table) -> str:
    """The remarks and footnotes; behind a click where there are several."""
    notes = [f"<p>{escape(remark)}</p>" for remark in table.remarks]
    notes += [f"<p><sup>{mark}</sup> {escape(note)}</p>" for note, mark in table.marks.items()]
    if len(notes) <= MOST_NOTES:
        return f'<div class="notes">{"".join(notes)}</div>'
    return f'<details class="notes"><summary>{len(notes)} notes</summary>{"".join(notes)}</details>'


def _latex(table: Table) -> str:
    """The LaTeX of the table, which the page's script copies."""
    return f'<template class="latex">{escape(rendering.latex(table), quote=False)}</template>'


def _tr(table: Table, row: Row) -> str:
    kind = "" if row.lead else ' class="more"'
    cells = "".join(_td(table, column, cell) for column, cell in zip(table.columns, row.cells, strict=True))
    return f'<tr{kind} data-key="{escape(row.key)}">{cells}</tr>\n'


def _th(column: Column, *, sortable: bool) -> str:
    title = escape(column.title)
    content = f'<button type="button">{title}</button>' if sortable else title
    kind = " class=words" if column.words else ""
    hint = f' title="{escape(column.help)}"' if column.help else ""
    return f'<th scope="col"{kind}{hint}>{content}</th>' if title else f"<td{kind}></td>"


def _td(table: Table, column: Column, cell: Cell) -> str:
    note = f"<sup>{marks(table, cell)}</sup>" if cell.notes else ""
    text = f"{escape(cell.text)}{note}"
    key = ""
    if isinstance(cell, Value):
        key = "" if math.isnan(cell.value) else f' data-value="{cell.value!r}"'
        text = f"<b>{text}</b>" if cell.bold else text
        text += f' <span class="spread">{escape(cell.spread_text)}</span>' if cell.spread_text else ""
        text += f'<span class="interval">{escape(cell.interval)}</span>' if cell.interval else ""
    elif isinstance(cell, VerdictCell):
        text = f'<span class="verdict {cell.outcome.replace(" ", "-")}">{text}</span>'
    elif isinstance(cell, Published):
        key = f' data-value="{cell.value!r}"'
    elif cell.chips:
        text = f"{_chips(cell)}{note}"
    elif cell.quiet:
        text = f'<span class="quiet">{text}</span>'
    words = ' class="words"' if column.words else ""
    return f"<td{words}{key}>{text}</td>"


def _chips(cell: Text) -> str:
    """The settings as small boxes; those beyond the first open at a click."""
    boxes = [f'<span class="chip">{escape(chip)}</span>' for chip in cell.chips]
    shown, rest = boxes[:MOST_CHIPS], boxes[MOST_CHIPS:]
    more = f"<details><summary>{len(rest)} more</summary>{' '.join(rest)}</details>" if rest else ""
    return " ".join([*shown, *([more] if more else [])])
