"""ROC curves of the variants of an ablation in one drawing.

Source: as SVK_MA (Tan, Dong & Li 2023) shows its networks; the figure's number (16 or 17) is our reading.
Differs: the first seed of each variant; for more than two classes the labels' scores are pooled.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.evidence.statistics.operating import roc_points
from study.reporting.figure import PALE, PALETTE, sheet
from study.reporting.row_trials import compared_variants
from study.reporting.run import Run

STYLES = ("solid", (0, (4, 1.5)), (0, (1, 1)))


@dataclass(frozen=True)
class _VariantRocData:
    """False-positive rate and sensitivity of each variant."""

    table: str
    curves: dict[str, tuple[np.ndarray, np.ndarray]]


class VariantRoc:
    """ROC curves of the variants."""

    title = "ROC curves of the variants"
    section = "ablations"

    def data(self, run: Run) -> _VariantRocData | None:
        """None for many labels a sample, or without an ablation of at least two variants."""
        table, variants = compared_variants(run) if run.kind != "multilabel" else ("", {})
        curves = {}
        for name, keys in variants.items():
            found = run.predictions(keys[0])
            if found is not None:
                two = len(run.labels) == 2
                target, score = (
                    (found.target[:, 1], found.score[:, 1])
                    if two
                    else (found.target.ravel(), found.score.ravel())
                )
                if 0 < (target > 0).sum() < len(target):
                    _, sensitivity, specificity = roc_points(target, score)
                    curves[name] = (1 - specificity, sensitivity)
        return (
            _VariantRocData(table, dict(list(curves.items())[: len(PALETTE) * len(STYLES)]))
            if len(curves) > 1
            else None
        )

    def draw(self, data: _VariantRocData) -> Figure:
        """All curves in one square, with the diagonal of chance."""
        figure = sheet(5.6, 3.4)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
        for i, (name, (false_positive, sensitivity)) in enumerate(data.curves.items()):
            style = STYLES[i // len(PALETTE)]
            axes.plot(
                false_positive, sensitivity, color=PALETTE[i % len(PALETTE)], linestyle=style, label=name
            )
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        figure.legend(loc="outside right center")
        return figure

    def caption(self, data: _VariantRocData) -> str:
        """The ablation."""
        return f"Test split, ablation {data.table}, first seed of each variant; the diagonal is chance."
