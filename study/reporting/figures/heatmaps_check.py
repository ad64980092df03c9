"""The sanity check of the heat maps: how like they still are when the networks forget what they have learnt.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292, figure 4 (cascading randomisation).
Differs: nothing.
"""

import pandas as pd
from matplotlib.figure import Figure

from study.reporting.figure import GREY, PALE, PALETTE, sheet
from study.reporting.overlays import Shelf, shelf_of
from study.reporting.run import Run

SAME = (
    0.5  # a rank correlation that is left when nothing learnt is left: such a map shows the network's build
)
MEASURES = {"rank_correlation": "Rank correlation", "ssim": "SSIM"}


class HeatMapsCheck:
    """Likeness to the trained map against how far down the weights are random."""

    title = "Whether the maps depend on what was learnt"
    section = "heatmaps"

    def data(self, run: Run) -> Shelf | None:
        """None where no heat maps were made."""
        return shelf_of(run)

    def draw(self, data: Shelf) -> Figure:
        """One curve a model; all start at 1, the trained map itself."""
        steps = self._steps(data)
        figure = sheet(height=2.9)
        for axes, (column, title) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
            axes.axhline(0, color=PALE, linewidth=0.8)
            for colour, trial in zip(PALETTE, data.maps.trials, strict=False):
                mine = _checks(data, trial)
                at = [0, *(steps.index(step) for step in mine["step"])]
                axes.plot(
                    at, [1.0, *mine[column]], marker="o", markersize=3, color=colour, label=data.names[trial]
                )
            axes.set_title(title)
            axes.set_xticks(range(len(steps)), steps, rotation=40, ha="right", rotation_mode="anchor")
            axes.set_xlabel("random from the head down to", color=GREY)
        figure.axes[0].set_ylabel("likeness to the trained map")
        figure.axes[-1].legend()
        return figure

    def caption(self, data: Shelf) -> str:
        """What is left at the end, and a warning where that is much."""
        last = {
            data.names[trial]: _checks(data, trial)["rank_correlation"].iloc[-1] for trial in data.maps.trials
        }
        said = ", ".join(f"{value:.2f} for {name}" for name, value in last.items())
        kept = [name for name, value in last.items() if abs(value) > SAME]
        warning = (
            f" The maps of {', '.join(kept)} hardly depend on what was learnt and should not be read."
            if kept
            else ""
        )
        return (
            "The weights are replaced by fresh ones part by part from the head down, and Grad-CAM is made again. A map that shows what the "
            f"network learnt falls from 1 toward 0. With all weights random the rank correlation is {said}.{warning} "
            "Means over the shown samples and all labels."
        )

    def _steps(self, data: Shelf) -> list[str]:
        """All models' steps in one order: what several have in common stays in line."""
        most = max((list(_checks(data, trial)["step"]) for trial in data.maps.trials), key=len)
        rank = {"head": 0, "embedding": 1, "fusion": 2, "attention": 3, "context": 4}
        every = {step for trial in data.maps.trials for step in _checks(data, trial)["step"]} | set(most)
        return ["trained", *sorted(every, key=lambda step: (rank.get(step, 5), -_piece(step), step))]


def _checks(data: Shelf, trial: str) -> pd.DataFrame:
    """The trial's rows in the order of the randomisation."""
    return data.maps.checks[data.maps.checks["trial"] == trial].sort_values("place")


def _piece(step: str) -> int:
    """Number of the backbone's piece: the last one comes first."""
    return int(step.split()[1].split("/")[0]) if "/" in step else 0
