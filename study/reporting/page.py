"""The report as one HTML file that opens from disk without a network."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    "heatmaps": "Where the networks look",
    "papers": "Beside the published numbers",
    "ablations": "Ablations",
    "errors": "Where the chosen trial is wrong",
    "outcomes": "Trials that did not finish",
    "provenance": "Provenance",
}


@dataclass(frozen=True)
class Face:
    """A sample to look at.

    Attributes:
        sample: Name of the sample.
        images: Its images as data URIs.
        caption: The line below the images.
    """

    sample: str
    images: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Heading:
    """What stands above the contents of the page.

    Attributes:
        name: Short name of the study.
        title: Question of the study.
        meta: Line below the title.
        synthetic: Whether any number on the page comes from made-up images.
    """

    name: str
    title: str
    meta: str
    synthetic: bool


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page with what stands in it.

    Attributes:
        key: Anchor of the section.
        title: Heading of the section.
        paragraphs: Its sentences, unescaped.
        tables: Its tables as HTML.
        figures: Its figures.
        folded: Tables as HTML that a reader must unfold.
        faces: Samples to look at.
    """

    key: str
    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Markup] = ()
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
        heading: What stands above the contents.
        paragraphs: The summary, unescaped.
        tables: Each table after its section, in the order of showing.
        figures: The drawings, in the order of showing.
        faces: Samples to look at beside the errors.
    """
    files = resources.files("study.reporting")
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(files.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        heading=heading,
        sections=_sections(paragraphs, tables, figures, faces),
        style=Markup(files.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        markup=Markup,
        stamp=rendering.SYNTHETIC,
    )


def _sections(
    paragraphs: Sequence[str],
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[Drawing],
    faces: Sequence[Face],
) -> list[Section]:
    """The sections that have something in them."""
    sections = {}
    for key, title in SECTIONS.items():
        mine = [table for section, table in tables if section == key]
        sections[key] = Section(
            key=key,
            title=title,
            tables=[Markup(rendering.html(table)) for table in mine if not _is_folded(table)],
            figures=[figure for figure in figures if figure.section == key],
            folded=[Markup(rendering.html(table)) for table in mine if _is_folded(table)],
        )
    sections["summary"] = replace(sections["summary"], paragraphs=paragraphs)
    sections["errors"] = replace(sections["errors"], faces=faces)
    return [s for s in sections.values() if s.paragraphs or s.tables or s.figures or s.folded]


def _is_folded(table: Table) -> bool:
    """Whether it is the table of a paper without any number of ours."""
    return table.name in published_names() and not any(
        isinstance(cell, Value) for _, _, cell in table.cells()
    )
