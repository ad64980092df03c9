"""ROC curves of the variants of an ablation in one drawing.

Source: the project's own.
Differs: nothing. The first seed of each variant is drawn; for more than two classes the labels' scores are
pooled.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from study.evidence.statistics.operating import roc_points
from study.reporting.figure import PALE, PALETTE, sheet
from study.reporting.row_trials import compared_variants
from study.reporting.run import Run

LINE_STYLES = ("solid", (0, (4, 1.5)), (0, (1, 1)))
MAX_LINES = len(PALETTE) * len(LINE_STYLES)


@dataclass(frozen=True)
class _VariantRocData:
    """What is drawn.

    Attributes:
        ablation: Name of the ablation.
        curves: False-positive rate and sensitivity of each variant.
    """

    ablation: str
    curves: dict[str, tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]]


class VariantRoc:
    """ROC curves of the variants."""

    title = "ROC curves of the variants"
    section = "ablations"

    def data(self, run: Run) -> _VariantRocData | None:
        """None where a sample may have several labels, or without an ablation of at least two variants."""
        if run.kind == "multilabel":
            return None
        ablation, variants = compared_variants(run)
        curves = {}
        for name, keys in variants.items():
            found = run.predictions(keys[0])
            if found is None:
                continue
            target, score = found.target.ravel(), found.score.ravel()
            if len(run.labels) == 2:
                target, score = found.target[:, 1], found.score[:, 1]
            if 0 < (target > 0).sum() < len(target):
                _, sensitivity, specificity = roc_points(target, score)
                curves[name] = (1 - specificity, sensitivity)
        if len(curves) < 2:
            return None
        return _VariantRocData(ablation, dict(list(curves.items())[:MAX_LINES]))

    def draw(self, data: _VariantRocData) -> Figure:
        """All curves in one square, with the diagonal of chance."""
        figure = sheet(5.6, 3.4)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
        for i, (name, (false_positive, sensitivity)) in enumerate(data.curves.items()):
            colour, style = PALETTE[i % len(PALETTE)], LINE_STYLES[i // len(PALETTE)]
            axes.plot(false_positive, sensitivity, color=colour, linestyle=style, label=name)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        figure.legend(loc="outside right center")
        return figure

    def caption(self, data: _VariantRocData) -> str:
        """The ablation."""
        return (
            f"Test split, ablation {data.ablation}, first seed of each variant by the head and setting that "
            "validation chose; the diagonal is chance."
        )
