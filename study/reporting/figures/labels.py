"""How well each label is found: test average precision and AUC of the chosen trial, with the class prior as reference.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.reporting.figure import BLUE, GREEN, INK, sheet
from study.reporting.run import Run


@dataclass(frozen=True)
class _LabelsData:
    """Average precision, AUC and share of carriers in the test split of each label."""

    key: str
    labels: tuple[str, ...]
    average_precision: np.ndarray
    auc: np.ndarray
    prevalence: np.ndarray


class Labels:
    """Per-label bars."""

    title = "Labels of the chosen trial"
    section = "chosen"

    def data(self, run: Run) -> _LabelsData | None:
        """None where the chosen trial has no test predictions."""
        found = run.chosen_predictions()
        if found is None:
            return None
        per_label = {
            m: np.array([run.score(found.trial, m, label=name) for name in run.labels])
            for m in ("average_precision", "auc")
        }
        return _LabelsData(
            found.trial,
            run.labels,
            per_label["average_precision"],
            per_label["auc"],
            found.target.mean(axis=0),
        )

    def draw(self, data: _LabelsData) -> Figure:
        """Horizontal bars; the tick is what the class prior alone reaches."""
        figure = sheet(height=0.9 + 0.26 * len(data.labels))
        left, right = figure.subplots(1, 2, sharey=True)
        place = np.arange(len(data.labels))[::-1]
        chance = (data.prevalence, np.full(len(place), 0.5))
        for axes, value, colour, title, prior in zip(
            (left, right),
            (data.average_precision, data.auc),
            (BLUE, GREEN),
            ("Average precision", "AUC"),
            chance,
            strict=True,
        ):
            axes.barh(place, np.nan_to_num(value), height=0.62, color=colour)
            axes.scatter(
                prior, place, marker="|", s=110, color=INK, linewidths=1.4, zorder=3, label="class prior"
            )
            axes.set(title=title, xlim=(0, 1.15), xticks=np.linspace(0, 1, 6))
            for y, v in zip(place, value, strict=True):
                axes.text(
                    1.15,
                    y,
                    f"{v:.3f}" if np.isfinite(v) else "not defined",
                    va="center",
                    ha="right",
                    size=7.5,
                )
            axes.tick_params(axis="y", length=0)
        left.set_yticks(place, [f"{name}" for name in data.labels])
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right")
        return figure

    def caption(self, data: _LabelsData) -> str:
        """The trial and the meaning of the tick."""
        return f"Test split, {data.key}. The tick marks what the class prior alone reaches: the label's share, and an AUC of one half."
