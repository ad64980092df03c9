"""SVK_MA's Table 4: number of neighbours K.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 4.
Differs: other images, since the paper's are private; a split by patient.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class SvkmaTable4:
    """Filled by the stored embeddings of one network, every K decided again."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "svkma_table4")
