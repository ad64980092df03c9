"""SVK_MA's Table 5: backbones.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 5.
Differs: other images, since the paper's are private; a split by patient.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class SvkmaTable5:
    """Filled by the ablation `svkma_table5`."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "svkma_table5")
