"""BFPC-Net's headline numbers.

Source: Li, Xu, Yang & Han 2022, Micromachines 13(6):947, abstract.
Differs: a split by patient; the paper's is not stated.
"""

from study.reporting.paper_table import paper_table
from study.reporting.run import Run
from study.reporting.table import Table


class LiHeadline:
    """Filled by the ablation `li_headline`."""

    section = "papers"

    def build(self, run: Run) -> Table | None:
        """The table; None for data of another kind."""
        return paper_table(run, "li_headline")
