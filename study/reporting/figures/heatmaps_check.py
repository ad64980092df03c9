"""The sanity check of the heat maps: how like they still are when the networks forget what they have learnt.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292, figure 4 (cascading
randomisation).
Differs: nothing.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from study.reporting.figure import GREY, PALE, PALETTE, sheet
from study.reporting.overlays import RunHeatMaps, heatmaps_of
from study.reporting.run import Run

MAX_CORRELATION = (
    0.5  # of a map with all weights random; a greater one shows the network's build, not what it learnt
)
LIKENESS = {"rank_correlation": "Rank correlation", "ssim": "SSIM"}
ORDER_OF_PARTS = {"head": 0, "embedding": 1, "fusion": 2, "attention": 3, "context": 4}  # then the backbone


class HeatMapsCheck:
    """Likeness to the trained map against how far down the weights are random."""

    title = "Whether the maps depend on what was learnt"
    section = "heatmaps"

    def data(self, run: Run) -> RunHeatMaps | None:
        """None where no heat maps were made."""
        return heatmaps_of(run)

    def draw(self, data: RunHeatMaps) -> Figure:
        """One curve for each model; all start at 1, the trained map itself."""
        steps = _steps(data)
        figure = sheet(height=2.9)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (column, title) in zip(panels, LIKENESS.items(), strict=True):
            axes.axhline(0, color=PALE, linewidth=0.8)
            for i, trial in enumerate(data.maps.trials):
                mine = _checks(data, trial)
                places = [0, *(steps.index(step) for step in mine["step"])]
                values = [1.0, *mine[column]]
                look: Any = {"color": PALETTE[i % len(PALETTE)], "marker": "o", "markersize": 3}
                style = "solid" if i < len(PALETTE) else "dashed"
                axes.plot(places, values, linestyle=style, label=data.names[trial], **look)
            axes.set_title(title)
            axes.set_xticks(range(len(steps)), steps, rotation=40, ha="right", rotation_mode="anchor")
            axes.set_xlabel("random from the head down to", color=GREY)
        figure.axes[0].set_ylabel("likeness to the trained map")
        figure.axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7)
        return figure

    def caption(self, data: RunHeatMaps) -> str:
        """What is left at the end, and a warning where that is much."""
        last = {
            data.names[trial]: _checks(data, trial)["rank_correlation"].iloc[-1] for trial in data.maps.trials
        }
        listed = ", ".join(f"{value:.2f} for {name}" for name, value in last.items())
        kept = [name for name, value in last.items() if abs(value) > MAX_CORRELATION]
        warning = ""
        if kept:
            warning = (
                f" The maps of {', '.join(kept)} hardly depend on what was learnt and should not be read."
            )
        return (
            "The weights are replaced by fresh ones part by part from the head down, and Grad-CAM is made "
            "again. A map that shows what the network learnt falls from 1 toward 0. With all weights "
            f"random the rank correlation is {listed}.{warning} Means over the shown samples and all labels."
        )


def _steps(heatmaps: RunHeatMaps) -> list[str]:
    """All models' steps in one order, so that steps that several models have stand at one place."""
    steps = {str(step) for trial in heatmaps.maps.trials for step in _checks(heatmaps, trial)["step"]}
    return ["trained", *sorted(steps, key=_place)]


def _place(step: str) -> tuple[int, int, str]:
    """The step's place from the head down; of the backbone's pieces the last, `backbone 4/4`, is first."""
    piece = int(step.split()[1].split("/")[0]) if "/" in step else 0
    return ORDER_OF_PARTS.get(step, len(ORDER_OF_PARTS)), -piece, step


def _checks(heatmaps: RunHeatMaps, trial: str) -> pd.DataFrame:
    """The trial's rows in the order of the randomisation."""
    return heatmaps.maps.checks[heatmaps.maps.checks["trial"] == trial].sort_values("place")
