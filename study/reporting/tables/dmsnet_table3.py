"""DMS-Net's Table 3: OSIM against other context modules.

Source: Huo et al. 2025, arXiv 2504.18046, Table 3.
Differs: the paper's metrics are not defined in it; the table says below which of ours stand beside them.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class DmsnetTable3:
    """Filled by the ablation `dmsnet_table3` (context modules)."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data that have other measures."""
        return paper_table(run, "dmsnet_table3")
