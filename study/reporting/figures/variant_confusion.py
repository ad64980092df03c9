"""Confusion of the variants of an ablation beside each other.

Source: the project's own.
Differs: nothing. Counts are summed over seeds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from study.reporting.deciding import decided
from study.reporting.figure import WIDTH, sheet
from study.reporting.figures.confusion import matrix
from study.reporting.row_trials import compared_variants
from study.reporting.run import Run

PANELS_PER_ROW = 4
MAX_LETTERS = 22


@dataclass(frozen=True)
class _VariantConfusionData:
    """What is drawn.

    Attributes:
        ablation: Name of the ablation.
        labels: Names of the classes.
        panels: Counts true × called of each variant.
    """

    ablation: str
    labels: tuple[str, ...]
    panels: dict[str, Int[np.ndarray, "c c"]]


class VariantConfusion:
    """Confusion matrices of the variants."""

    title = "Confusion of the variants"
    section = "ablations"

    def data(self, run: Run) -> _VariantConfusionData | None:
        """None where a sample may have several labels, or without an ablation of at least two variants."""
        if run.kind == "multilabel":
            return None
        ablation, variants = compared_variants(run)
        panels = {
            name: np.sum([_counts(run, key) for key in keys], axis=0) for name, keys in variants.items()
        }
        return _VariantConfusionData(ablation, run.labels, panels) if len(panels) > 1 else None

    def draw(self, data: _VariantConfusionData) -> Figure:
        """Shade is the share of the row; numbers are counts."""
        columns = min(PANELS_PER_ROW, len(data.panels))
        rows = -(-len(data.panels) // columns)
        figure = sheet(WIDTH * columns / PANELS_PER_ROW, 1.95 * rows)
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for i, (axes, (name, counts)) in enumerate(zip(grid, data.panels.items(), strict=False)):
            title = name if len(name) < MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…"
            matrix(axes, title, data.labels, counts, first=i % columns == 0)
        for axes in grid[len(data.panels) :]:
            axes.set_axis_off()
        return figure

    def caption(self, data: _VariantConfusionData) -> str:
        """The ablation, and what a shade is."""
        return (
            f"Test split, ablation {data.ablation}, all seeds, each by the head and setting that validation "
            "chose. Rows are true, columns are called; the shade is the share of the row."
        )


def _counts(run: Run, trial: str) -> Int[np.ndarray, "c c"]:
    """Counts true × called of a trial; zeros where it has no test predictions."""
    found = decided(run, trial)
    if found is None:
        return np.zeros((len(run.labels), len(run.labels)), dtype=int)
    return np.asarray((found.predictions.target > 0).T.astype(int) @ found.decision.astype(int))
