"""Confusion of the variants of an ablation beside each other.

Source: as SVK_MA (Tan, Dong & Li 2023) shows its networks; the figure's number (16 or 17) is our reading.
Differs: counts are summed over seeds.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.evidence.score import decisions_of
from study.reporting.figure import WIDTH, sheet
from study.reporting.figures.confusion import matrix
from study.reporting.row_trials import compared_variants
from study.reporting.run import Run

COLUMNS = 4


@dataclass(frozen=True)
class _VariantConfusionData:
    """Counts true × called of each variant."""

    table: str
    labels: tuple[str, ...]
    panels: dict[str, np.ndarray]


class VariantConfusion:
    """Confusion matrices of the variants."""

    title = "Confusion of the variants"
    section = "ablations"

    def data(self, run: Run) -> _VariantConfusionData | None:
        """None for many labels a sample, or without an ablation of at least two variants."""
        if run.kind == "multilabel":
            return None
        table, variants = compared_variants(run)
        panels = {
            name: sum((self._counts(run, key) for key in keys), np.zeros(()))
            for name, keys in variants.items()
        }
        return _VariantConfusionData(table, run.labels, panels) if len(panels) > 1 else None

    def _counts(self, run: Run, trial: str) -> np.ndarray:
        found = run.predictions(trial)
        if found is None:
            return np.zeros((len(run.labels), len(run.labels)), dtype=int)
        return np.asarray(
            (found.target > 0).T.astype(int) @ decisions_of(found, run.kind)["argmax"].astype(int)
        )

    def draw(self, data: _VariantConfusionData) -> Figure:
        """Shade is the share of the row; numbers are counts."""
        columns = min(COLUMNS, len(data.panels))
        rows = -(-len(data.panels) // columns)
        figure = sheet(WIDTH * columns / COLUMNS, 1.95 * rows)
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for i, axes in enumerate(grid):
            axes.set_axis_off()
            if i < len(data.panels):
                axes.set_axis_on()
                name, counts = list(data.panels.items())[i]
                matrix(
                    axes,
                    name if len(name) < 22 else f"{name[:21]}…",
                    data.labels,
                    counts,
                    first=i % columns == 0,
                )
        return figure

    def caption(self, data: _VariantConfusionData) -> str:
        """The ablation, and what a shade is."""
        return f"Test split, ablation {data.table}, all seeds. Rows are true, columns are called; the shade is the share of the row."
