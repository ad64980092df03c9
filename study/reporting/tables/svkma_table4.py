"""SVK_MA's Table 4: number of neighbours K.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, Table 4.
Differs: other images, since the paper's are private; a split by patient.
"""

from study.reporting.comparison import compare
from study.reporting.run import Run
from study.reporting.table import Table


class SvkmaTable4:
    """Filled by the stored embeddings of one network, every K decided again."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return compare(run, "svkma_table4")
