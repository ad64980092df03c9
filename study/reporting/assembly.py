"""All tables and figures of a run, and the files that they become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.reporting import rendering
from study.reporting.figure import Drawing, draw
from study.reporting.page import SECTIONS, Face, Heading, page
from study.reporting.redaction import publishable, without_folders
from study.reporting.run import Run
from study.reporting.summary import summary
from study.reporting.table import Table
from study.spec import components

Images = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
        tables: (section of the page, table).
        drawings: the figures.
    """

    run: Run
    tables: tuple[tuple[str, Table], ...]
    drawings: tuple[Drawing, ...]

    def table(self, name: str) -> Table | None:
        """The table of that name, if the run has something for it."""
        return next((table for _, table in self.tables if table.name == name), None)


def build_tables(run: Run) -> tuple[tuple[str, Table], ...]:
    """Every table that the project has and the run has something for, with its section of the page."""
    tables = []
    for name in components.names("table"):
        component = components.load("table", name)()
        if component.section not in SECTIONS:
            raise ValueError(f"`{name}.section`: must be a section of the page, got `{component.section}`.")
        table = component.build(run)
        if table is not None:
            tables.append((component.section, publishable(table)))
    return tuple(tables)


def build_report(run: Run, drawings: Sequence[Drawing] = ()) -> Report:
    """Every table and figure that the run has something for.

    Args:
        run: to report.
        drawings: further figures, made elsewhere.
    """
    drawn = [drawing for name in components.names("figure") if (drawing := draw(name, run)) is not None]
    return Report(run, build_tables(run), (*drawn, *drawings))


def files(report: Report, images: Images | None = None) -> dict[str, bytes]:
    """The report's files by their path below its folder; the page comes last.

    Args:
        report: what to write.
        images: pictures of samples as data URIs, to show beside the errors.
    """
    found: dict[str, bytes] = {}
    for _, table in report.tables:
        found |= table_files(table)
    for drawing in report.drawings:
        found[f"figures/{drawing.name}.svg"] = drawing.svg.encode()
        found[f"figures/{drawing.name}.png"] = drawing.png
    run = report.run
    meta = f"{run.study['dataset']} · {len(run.labels)} labels · {len(run.trials)} trials · {run.trials['ended'].max():%d %B %Y}"
    heading = Heading(run.name, without_folders(run.title), meta, run.synthetic)
    html = page(
        heading,
        list(map(without_folders, summary(run))),
        report.tables,
        report.drawings,
        _faces(report, images or {}),
    )
    return {**found, "index.html": html.encode()}


def table_files(table: Table) -> dict[str, bytes]:
    """A table in its three formats for files."""
    return {
        f"tables/{table.name}.md": rendering.markdown(table).encode(),
        f"tables/{table.name}.tex": rendering.latex(table).encode(),
        f"tables/{table.name}.csv": rendering.comma_separated(table).encode(),
    }


def _faces(report: Report, images: Images) -> list[Face]:
    """The samples of the error table of which there are images."""
    errors = report.table("errors")
    if errors is None:
        return []
    faces = []
    for row in errors.rows:
        if row.key in images:
            said = [
                f"{name} {errors.cell(row.key, key).text}"
                for key, name in (("true", "is"), ("missed", "missed"), ("invented", "called"))
            ]
            faces.append(
                Face(row.key, images[row.key], "; ".join(part for part in said if not part.endswith(" ")))
            )
    return faces
