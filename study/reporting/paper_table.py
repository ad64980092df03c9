"""A table of a paper with our numbers beside the published ones, in the form that its file declares."""

from study.reporting.paper_groups import compared_table
from study.reporting.paper_rows import costs_table, counts_table, listed_table
from study.reporting.papers import published
from study.reporting.run import Run
from study.reporting.table import Table

_FORMS = {"compared": compared_table, "listed": listed_table, "counts": counts_table, "costs": costs_table}


def paper_table(run: Run, name: str) -> Table | None:
    """The table of that name; None where nothing of the run can stand beside it.

    Raises:
        SpecError: There is no published table of that name.
    """
    paper = published(name)
    return _FORMS[paper.form](run, paper)
