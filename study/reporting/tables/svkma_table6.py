"""SVK_MA's Table 6: attention.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 6.
Differs: other images, since the paper's are private; a split by patient.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class SvkmaTable6:
    """Filled by the ablation `svkma_table6`."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "svkma_table6")
