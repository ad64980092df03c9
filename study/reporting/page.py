"""The report as one HTML file that opens from disk without a network."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2
from markupsafe import Markup

from study.reporting import rendering
from study.reporting.figure import Drawing
from study.reporting.papers import published_names
from study.reporting.table import Table, Value

SECTIONS = {
    "summary": "Summary",
    "runs": "The runs side by side",
    "data": "Data and split",
    "search": "The search",
    "chosen": "The chosen trial",
    "heatmaps": "Where it looks",
    "papers": "Beside the published numbers",
    "ablations": "Ablations",
    "errors": "Where it is wrong",
    "outcomes": "Trials that did not finish",
    "provenance": "Provenance",
}
SORTABLE = ("leaderboard",)


@dataclass(frozen=True)
class Face:
    """A sample to look at: its images as data URIs and a line below them."""

    sample: str
    images: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Heading:
    """What stands above the contents."""

    name: str
    title: str
    meta: str
    synthetic: bool


@dataclass(frozen=True)
class Section:
    """A heading with what belongs to it; `folded` tables wait behind a click."""

    key: str
    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Markup] = field(default=())
    figures: Sequence[Drawing] = ()
    folded: Sequence[Markup] = ()
    faces: Sequence[Face] = ()


def page(
    heading: Heading,
    paragraphs: Sequence[str],
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[Drawing],
    faces: Sequence[Face] = (),
) -> str:
    """The whole page.

    Args:
        heading: of the page.
        paragraphs: of the summary, unescaped.
        tables: (section, table), in the order of showing.
        figures: the drawings, in the order of showing.
        faces: samples to look at among the errors.
    """
    files = resources.files("study.reporting")
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(files.joinpath("page.html.j2").read_text(encoding="utf-8"))
    sections = [_section(key, paragraphs, tables, figures, faces) for key in SECTIONS]
    return template.render(
        heading=heading,
        sections=[s for s in sections if s.paragraphs or s.tables or s.figures or s.folded],
        style=Markup(files.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        markup=Markup,
        stamp=rendering.SYNTHETIC,
    )


def table_html(table: Table) -> str:
    """A table as the page shows it."""
    return rendering.html(table, sortable=table.name in SORTABLE)


def _section(
    key: str,
    paragraphs: Sequence[str],
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[Drawing],
    faces: Sequence[Face],
) -> Section:
    mine = [table for section, table in tables if section == key]
    folded = [
        t
        for t in mine
        if t.name in published_names() and not any(isinstance(cell, Value) for _, _, cell in t.cells())
    ]
    return Section(
        key,
        SECTIONS[key],
        paragraphs if key == "summary" else (),
        [Markup(table_html(t)) for t in mine if t not in folded],
        [f for f in figures if f.section == key],
        [Markup(table_html(t)) for t in folded],
        faces if key == "errors" else (),
    )
