"""The report as one HTML file that opens from disk without a network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib import resources

import jinja2
from markupsafe import Markup

from study.reporting.figure import Drawing
from study.reporting.hero import Hero
from study.reporting.papers import published_names
from study.reporting.table import Table, Value
from study.reporting.table_view import table_view

SECTIONS = {
    "runs": "The runs side by side",
    "mattered": "What mattered",
    "papers": "Beside the published numbers",
    "ablations": "Ablations",
    "search": "The search",
    "chosen": "The chosen trial",
    "heatmaps": "Where the networks look",
    "errors": "Where the chosen trial is wrong",
    "data": "Data and split",
    "outcomes": "Trials that did not finish",
    "summary": "The study in words",
    "methods": "Methods, to be pasted",
    "provenance": "Provenance",
}
OPEN: Mapping[str, tuple[str, ...]] = {  # what is seen of a section; the rest is one click away
    "mattered": ("forest", "importance", "interaction"),
    "ablations": ("ablations", "variant_curves"),
    "search": ("leaderboard", "finetuning", "history", "slices"),
    "chosen": ("labels", "reliability", "groups", "retrieval"),
    "heatmaps": ("heatmaps_samples", "heatmaps_check"),
    "errors": (),
    "data": ("split", "distribution"),
    "summary": ("chosen",),
}
NARROW = 3  # columns of a table that leaves room for another one beside it


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
class Item:
    """A table or a figure of a section.

    Attributes:
        name: Its name in files.
        title: Its heading.
        html: It itself.
    """

    name: str
    title: str
    html: Markup


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page with what stands in it.

    Attributes:
        key: Anchor of the section.
        title: Heading of the section.
        paragraphs: Its sentences, unescaped.
        shown: Its tables and figures that are seen at once.
        folded: Those that a reader must unfold.
        faces: Samples to look at.
    """

    key: str
    title: str
    paragraphs: Sequence[str] = ()
    shown: Sequence[Item] = ()
    folded: Sequence[Item] = ()
    faces: Sequence[Face] = ()


def page(
    hero: Hero,
    paragraphs: Mapping[str, Sequence[str]],
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[Drawing],
    faces: Sequence[Face] = (),
) -> str:
    """The whole page.

    Args:
        hero: What stands above the contents.
        paragraphs: Sentences of each section that has some, unescaped.
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
        hero=hero,
        sections=_sections(paragraphs, tables, figures, faces),
        style=Markup(files.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _sections(
    paragraphs: Mapping[str, Sequence[str]],
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[Drawing],
    faces: Sequence[Face],
) -> list[Section]:
    """The sections that have something in them."""
    found = []
    for key, title in SECTIONS.items():
        drawings = [_figure_item(figure) for figure in figures if figure.section == key]
        mine = [table for section, table in tables if section == key]
        filled = [_table_item(table) for table in mine if not _is_unfilled(table)]
        section = _arranged(key, title, drawings, filled)
        if unfilled := [_table_item(table) for table in mine if _is_unfilled(table)]:
            section = replace(section, folded=[*section.folded, _together(unfilled)])
        section = replace(section, paragraphs=paragraphs.get(key, ()), faces=faces if key == "errors" else ())
        if section.paragraphs or section.shown or section.folded:
            found.append(section)
    return found


def _arranged(key: str, title: str, drawings: Sequence[Item], tables: Sequence[Item]) -> Section:
    """What is seen of the section first, in the order of `OPEN`, and the rest behind a click each."""
    order = OPEN.get(key)
    if order is None:
        return Section(key=key, title=title, shown=[*drawings, *tables])
    items = [*tables, *drawings]
    shown = sorted((item for item in items if item.name in order), key=lambda item: order.index(item.name))
    return Section(key=key, title=title, shown=shown, folded=[item for item in items if item not in shown])


def _is_unfilled(table: Table) -> bool:
    """Whether it is the table of a paper without any number of ours."""
    return table.name in published_names() and not any(
        isinstance(cell, Value) for _, _, cell in table.cells()
    )


def _together(items: Sequence[Item]) -> Item:
    title = f"Tables of the papers that this study did not run ({len(items)})"
    return Item("unfilled", title, Markup("\n").join(item.html for item in items))


def _table_item(table: Table) -> Item:
    wide = "" if len(table.columns) <= NARROW else " wide"
    html = table_view(table)
    return Item(table.name, table.title, Markup(f'<div class="item{wide}">{html}</div>'))


def _figure_item(figure: Drawing) -> Item:
    links = "".join(
        f' <a href="figures/{escape(figure.name)}.{end}" download>{end.upper()}</a>' for end in ("png", "svg")
    )
    caption = f"<b>{escape(figure.title)}.</b> {escape(figure.caption)} <span class=links>{links}</span>"
    html = (
        f'<figure class="drawing" id="figure-{escape(figure.name)}"><div class="svg">{figure.svg}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
    return Item(figure.name, figure.title, Markup(f'<div class="item">{html}</div>'))
