"""DMS-Net's Table 1: backbones of DMS-Net.

Source: Huo et al. 2025, arXiv 2504.18046, Table 1.
Differs: the paper's metrics are not defined in it; the table says below which of ours stand beside them.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class DmsnetTable1:
    """Filled by the ablation `dmsnet_table1` (backbones)."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data that have other measures."""
        return paper_table(run, "dmsnet_table1")
