"""All tables that a report can have: computed ones (`tables/*.py`) and papers' ones (`published/*.yaml`)."""

from typing import Protocol

from study.reporting.paper_table import paper_table
from study.reporting.papers import published, published_names
from study.reporting.run import Run
from study.reporting.table import Table
from study.spec import catalogue, components
from study.spec.catalogue import Entry

SECTION_OF_PAPERS = "papers"


class TableComponent(Protocol):
    """What a file in `tables/` defines.

    Attributes:
        section: Section of the page where the table stands.
    """

    section: str

    def build(self, run: Run) -> Table | None:
        """The table; None where the run has nothing for it."""


def table_names() -> list[str]:
    """Names of all tables, in the order in which they stand within a section of the page."""
    return sorted([*components.names("table"), *published_names()])


def table_entries() -> list[Entry]:
    """All tables as the list of components shows them, in the same order."""
    papers = [_entry(name) for name in published_names()]
    return sorted([*catalogue.entries("table"), *papers], key=lambda entry: entry.name)


def _entry(name: str) -> Entry:
    paper = published(name)
    return Entry(
        kind="table",
        name=name,
        summary=paper.heading,
        source=f"{paper.citation}; {paper.source}.",
        differs=paper.differs,
        arguments=(),
    )


def section_of(name: str) -> str:
    """The section of the page where the table of that name stands."""
    return SECTION_OF_PAPERS if name in published_names() else _component(name).section


def build_table(name: str, run: Run) -> Table | None:
    """The table of that name; None where the run has nothing for it."""
    return paper_table(run, name) if name in published_names() else _component(name).build(run)


def _component(name: str) -> TableComponent:
    component: TableComponent = components.load("table", name)()
    return component
