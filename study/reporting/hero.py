"""The first screen of the page: the answer, three or four numbers, the network, and some test patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from study.reporting.answer import Piece, answer_of
from study.reporting.measures import full_name, short_name
from study.reporting.network_drawing import network_drawing
from study.reporting.patients_strip import Images, Patient, patients_strip
from study.reporting.redaction import without_folders
from study.reporting.run import Run
from study.reporting.table import Table, Value

MOST_NUMBERS = 4
SCALE = 100  # units of the drawing beside a number, which reaches from 0 to 1
COLUMNS = {"chosen": "chosen", "untrained": "untrained", "prior": "class prior"}


@dataclass(frozen=True, kw_only=True)
class Hero:
    """What stands above the contents of the page.

    Attributes:
        name: Short name of the study.
        title: Question of the study.
        meta: Whose eyes they are, and how many.
        synthetic: Whether any number on the page comes from made-up images.
        answer: The sentences of the answer as HTML.
        numbers: The chosen trial's numbers beside those of what did not learn, as HTML; None where nothing
            was chosen.
        network: The drawing of the chosen network; None where nothing was chosen.
        patients: Test patients to look at.
    """

    name: str
    title: str
    meta: str
    synthetic: bool
    answer: Sequence[Markup] = ()
    numbers: Markup | None = None
    network: Markup | None = None
    patients: Sequence[Patient] = ()


def hero_of(run: Run, chosen: Table | None, images: Images) -> Hero:
    """The first screen of a run.

    Args:
        run: The run.
        chosen: The table of that name; None where the run has nothing for it.
        images: Pictures of the test patients.
    """
    return Hero(
        name=run.name,
        title=without_folders(run.title),
        meta=_meta(run),
        synthetic=run.synthetic,
        answer=answer_html(run),
        numbers=numbers_html(chosen) if chosen else None,
        network=Markup(network_drawing(run, run.best)) if run.best else None,
        patients=patients_strip(run, images),
    )


def _meta(run: Run) -> str:
    counts = run.study["split_counts"]
    patients = sum(int(split.get("patients", 0)) for split in counts.values())
    tested = int(counts.get("test", {}).get("patients", 0))
    eyes = "both eyes" if run.study["num_views"] == 2 else "single images"
    facts = [
        str(run.study["dataset"]),
        f"{patients:,} patients, {eyes}" if patients else "",
        f"{tested:,} of them tested" if tested else "",
        f"{len(run.labels)} labels",
        f"{len(run.of_role('search'))} trials of the search",
        f"{run.trials['ended'].max():%d %B %Y}",
    ]
    return " · ".join(filter(None, facts))


def answer_html(run: Run) -> list[Markup]:
    """The sentences of the answer; where there is none, why."""
    found = answer_of(run)
    if found is None:
        return [Markup("No trial is complete, so there is no answer.")]
    return [Markup("".join(map(_piece_html, pieces))) for pieces in (found.lead, *found.rest)]


def _piece_html(piece: Piece) -> str:
    if isinstance(piece, str):
        return escape(without_folders(piece))
    interval = piece.interval.replace(" to ", ", ")
    shown = f' <span class="interval">[{escape(interval)}]</span>' if interval else ""
    return f'<span class="number"><b>{escape(piece.text)}</b>{shown}</span>'


def numbers_html(chosen: Table) -> Markup:
    """The first measures of the table `chosen`, one a row, each with its place between 0 and 1."""
    measures = [column for column in chosen.columns if column.key != "what"][:MOST_NUMBERS]
    rows = [key for key in COLUMNS if any(row.key == key for row in chosen.rows)]
    head = "".join(f'<th scope="col">{COLUMNS[key]}</th>' for key in rows)
    lines = []
    for column in measures:
        cells = [chosen.cell(key, column.key) for key in rows]
        title = (
            f'<th scope="row" title="{escape(full_name(column.key))}">{escape(short_name(column.key))}</th>'
        )
        shown = "".join(
            f'<td class="{key}">{_cell_html(cell)}</td>' for key, cell in zip(rows, cells, strict=True)
        )
        values = [cell for cell in cells if isinstance(cell, Value)]
        lines.append(f'<tr>{title}{shown}<td class="place">{_place(values)}</td></tr>')
    table = f"<thead><tr><td></td>{head}<td></td></tr></thead><tbody>{''.join(lines)}</tbody>"
    caption = "Test patients, with 95 % intervals"
    return Markup(f'<table class="numbers"><caption>{caption}</caption>{table}</table>')


def _cell_html(cell: object) -> str:
    if not isinstance(cell, Value):
        return ""
    interval = f'<span class="interval">{escape(cell.interval)}</span>' if cell.interval else ""
    return f"<b>{escape(cell.text)}</b>{interval}"


def _place(values: Sequence[Value]) -> str:
    """The first value as a dot on the line of its interval, the others as rings, on a scale from 0 to 1."""
    known = [value for value in values if not math.isnan(value.value)]
    shapes = f'<path class="axis" d="M0 9H{SCALE}M0 6v6M{SCALE} 6v6"/>'
    for value in known[1:]:
        shapes += f'<circle class="ring" cx="{_at(value.value)}" cy="9" r="3"/>'
    if known:
        first = known[0]
        if first.interval:
            shapes += f'<path class="span" d="M{_at(first.low)} 9H{_at(first.high)}"/>'
        shapes += f'<circle class="dot" cx="{_at(first.value)}" cy="9" r="4"/>'
    return f'<svg viewBox="-5 0 {SCALE + 10} 18" aria-hidden="true">{shapes}</svg>'


def _at(value: float) -> str:
    return f"{SCALE * min(1.0, max(0.0, value)):.1f}"
