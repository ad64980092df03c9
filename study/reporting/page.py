"""The report as one HTML file that opens from disk without a network."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
from markupsafe import Markup

from study.reporting import rendering
from study.reporting.figure import Drawing
from study.reporting.papers import published_names
from study.reporting.run import Run
from study.reporting.summary import summary
from study.reporting.table import Table, Value

SECTIONS = {
    "summary": "Summary",
    "data": "Data and split",
    "search": "The search",
    "chosen": "The chosen trial",
    "papers": "Beside the published numbers",
    "ablations": "Ablations",
    "outcomes": "Trials that did not finish",
    "provenance": "Provenance",
}


@dataclass(frozen=True)
class Section:
    """A heading with its tables and figures; `folded` tables wait behind a click."""

    key: str
    title: str
    tables: Sequence[Markup]
    figures: Sequence[Drawing]
    folded: Sequence[Markup]


def page(run: Run, tables: Sequence[tuple[str, Table]], figures: Sequence[Drawing]) -> str:
    """The whole page.

    Args:
        run: the run it is about.
        tables: (section, table), in the order of showing.
        figures: the drawings, in the order of showing.
    """
    files = resources.files("study.reporting")
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(files.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        run=run,
        paragraphs=summary(run),
        sections=[s for s in (_section(key, tables, figures) for key in SECTIONS) if s.tables or s.figures or s.folded],
        style=Markup(files.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        markup=Markup,
        stamp=rendering.SYNTHETIC,
    )


def _section(key: str, tables: Sequence[tuple[str, Table]], figures: Sequence[Drawing]) -> Section:
    mine = [table for section, table in tables if section == key]
    folded = [t for t in mine if t.name in published_names() and not any(isinstance(cell, Value) for _, _, cell in t.cells())]
    return Section(
        key,
        SECTIONS[key],
        [_markup(t) for t in mine if t not in folded],
        [f for f in figures if f.section == key],
        [_markup(t) for t in folded],
    )


def _markup(table: Table) -> Markup:
    return Markup(rendering.html(table, sortable=table.name == "leaderboard"))
