"""DMS-Net's Table 2: modules of DMS-Net left out one at a time.

Source: Huo et al. 2025, arXiv 2504.18046, Table 2.
Differs: the paper's metrics are not defined in it; the table says below which of ours stand beside them.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class DmsnetTable2:
    """Filled by the ablation `dmsnet_table2` (module ablation)."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data that have other measures."""
        return paper_table(run, "dmsnet_table2")
