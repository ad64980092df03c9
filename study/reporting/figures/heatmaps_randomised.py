"""The sanity check of the heat maps, to look at: a sample's map as the network forgets, from the head down.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292, figure 2.
Differs: nothing.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.overlays import Shelf, shelf_of
from study.reporting.run import Run
from study.reporting.strips import Cell, Strip, few, strips


class HeatMapsRandomised:
    """The map of one sample, trained and after each step of the randomisation; one strip a model."""

    title = "The same map while the weights are randomised"
    section = "heatmaps"

    def data(self, run: Run) -> Shelf | None:
        """None where no heat maps were made."""
        return shelf_of(run)

    def draw(self, data: Shelf) -> Figure:
        """Each map on its own scale, common to both eyes."""
        return strips(data, [self._strip(data, trial) for trial in data.maps.trials])

    def caption(self, data: Shelf) -> str:
        """What changes from left to right."""
        return (
            f"Grad-CAM of {data.label(few(data)[0])}, trained, then with fresh weights in ever more parts, named by the last one. "
            "Maps that stay as they were would show the image or the network's build, not what it learnt."
        )

    def _strip(self, data: Shelf, trial: str) -> Strip:
        sample = few(data)[0]
        label = data.label(sample)
        checks = data.maps.checks[data.maps.checks["trial"] == trial].sort_values("place")
        cells = [
            Cell(step or "trained", "", data.maps.of(trial, sample, GRAD_CAM, label, step))
            for step in ("", *checks["step"])
        ]
        return Strip(trial, sample, f"{data.names[trial]}, ", cells)
