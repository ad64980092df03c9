"""SVK_MA's Table 3: trained on the originals, with augmentation, and on generated images.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 3.
Differs: other images, since the paper's are private; a split by patient.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class SvkmaTable3:
    """Filled by the variants d1, d2, d3."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "svkma_table3")
