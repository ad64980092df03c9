"""All tables and figures of a run, and the files that they become."""

from dataclasses import dataclass

from study.reporting import rendering
from study.reporting.figure import Drawing, draw
from study.reporting.page import SECTIONS, page
from study.reporting.run import Run
from study.reporting.table import Table
from study.spec import components


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


def build_report(run: Run) -> Report:
    """Builds every table and figure that the project has and the run has something for."""
    tables = []
    for name in components.names("table"):
        component = components.load("table", name)()
        if component.section not in SECTIONS:
            raise ValueError(f"`{name}.section`: must be a section of the page, got `{component.section}`.")
        table = component.build(run)
        if table is not None:
            tables.append((component.section, table))
    drawings = [drawing for name in components.names("figure") if (drawing := draw(name, run)) is not None]
    return Report(run, tuple(tables), tuple(drawings))


def files(report: Report) -> dict[str, bytes]:
    """The report's files by their path below its folder; the page comes last."""
    found: dict[str, bytes] = {}
    for _, table in report.tables:
        found[f"tables/{table.name}.md"] = rendering.markdown(table).encode()
        found[f"tables/{table.name}.tex"] = rendering.latex(table).encode()
        found[f"tables/{table.name}.csv"] = rendering.comma_separated(table).encode()
    for drawing in report.drawings:
        found[f"figures/{drawing.name}.svg"] = drawing.svg.encode()
        found[f"figures/{drawing.name}.png"] = drawing.png
    found["index.html"] = page(report.run, report.tables, report.drawings).encode()
    return found
