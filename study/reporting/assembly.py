"""All tables and figures of a run, and the files that they become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.reporting import rendering
from study.reporting.figure import Drawing, draw
from study.reporting.hero import hero_of
from study.reporting.methods import methods
from study.reporting.overlays import FIGURES as HEATMAP_FIGURES
from study.reporting.page import SECTIONS, Face, page
from study.reporting.patients_strip import Images
from study.reporting.redaction import publishable, without_folders
from study.reporting.registry import build_table, section_of, table_names
from study.reporting.run import Run
from study.reporting.summary import summary
from study.reporting.table import Table
from study.spec import components


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
        run: The run.
        tables: Each table after the section of the page where it stands.
        drawings: The figures.
    """

    run: Run
    tables: tuple[tuple[str, Table], ...]
    drawings: tuple[Drawing, ...]

    def table(self, name: str) -> Table | None:
        """The table of that name; None where the run has nothing for it."""
        return next((table for _, table in self.tables if table.name == name), None)


def build_tables(run: Run) -> tuple[tuple[str, Table], ...]:
    """Every table that the run has something for, after its section of the page."""
    tables = []
    for name in table_names():
        section = section_of(name)
        if section not in SECTIONS:
            raise ValueError(f"`{name}.section`: must be a section of the page, got `{section}`.")
        table = build_table(name, run)
        if table is not None:
            tables.append((section, publishable(table)))
    return tuple(tables)


def figure_names() -> list[str]:
    """Names of all figures, in the order in which they stand within a section of the page."""
    others = [name for name in components.names("figure") if name not in HEATMAP_FIGURES]
    return [*others, *HEATMAP_FIGURES]


def build_report(run: Run, drawings: Sequence[Drawing] = ()) -> Report:
    """Every table and figure that the run has something for.

    Args:
        run: The run.
        drawings: Further figures, made elsewhere.
    """
    found = [draw(name, run) for name in figure_names()]
    return Report(run, build_tables(run), (*(drawing for drawing in found if drawing), *drawings))


def files(report: Report, images: Images | None = None) -> dict[str, bytes]:
    """The report's files by their path below its folder; the page comes last.

    Args:
        report: The report.
        images: Pictures of samples, to show beside the errors.
    """
    found: dict[str, bytes] = {}
    for _, table in report.tables:
        found |= table_files(table)
    for drawing in report.drawings:
        found |= drawing_files(drawing)
    html = page(
        hero_of(report.run, report.table("chosen"), images or {}),
        prose(report),
        report.tables,
        report.drawings,
        _faces(report, images or {}),
    )
    return {**found, "index.html": html.encode()}


def prose(report: Report) -> Mapping[str, Sequence[str]]:
    """The sentences of each section of the page that has some, unescaped."""
    from study.reporting.interaction import interaction_sentence  # loads Optuna, as the figures do

    return {
        "mattered": list(map(without_folders, filter(None, [interaction_sentence(report.run)]))),
        "summary": list(map(without_folders, summary(report.run))),
        "methods": methods(report.run),
    }


def table_files(table: Table) -> dict[str, bytes]:
    """A table in its three formats for files."""
    return {
        f"tables/{table.name}.md": rendering.markdown(table).encode(),
        f"tables/{table.name}.tex": rendering.latex(table).encode(),
        f"tables/{table.name}.csv": rendering.comma_separated(table).encode(),
    }


def drawing_files(drawing: Drawing) -> dict[str, bytes]:
    """A figure in its two formats for files."""
    return {
        f"figures/{drawing.name}.svg": drawing.svg.encode(),
        f"figures/{drawing.name}.png": drawing.png,
    }


def _faces(report: Report, images: Images) -> list[Face]:
    """The samples of the table of errors of which there are images."""
    errors = report.table("errors")
    if errors is None:
        return []
    faces = []
    for row in errors.rows:
        if row.key in images:
            said = {
                name: errors.cell(row.key, column).text
                for column, name in (("true", "is"), ("missed", "missed"), ("invented", "called"))
            }
            caption = "; ".join(f"{name} {labels}" for name, labels in said.items() if labels)
            faces.append(Face(row.key, images[row.key], caption))
    return faces
