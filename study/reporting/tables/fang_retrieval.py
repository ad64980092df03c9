"""Fang's mirror attention: retrieval measures of the author's logs.

Source: Fang et al. 2023, Biomedical Signal Processing and Control 80:104277; the numbers are from the author's logs.
Differs: patients do not cross the split, and nobody finds their own other eye.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class FangRetrieval:
    """Filled by the ablation `fang_retrieval`, and by the chosen trial."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "fang_retrieval")
