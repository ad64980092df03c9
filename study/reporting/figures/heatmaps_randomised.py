"""The sanity check of the heat maps as pictures: a sample's map while the network forgets what it learnt.

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292, figure 2.
Differs: nothing.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.overlays import RunHeatMaps, heatmaps_of
from study.reporting.run import Run
from study.reporting.strips import HeatMap, Strip, some_samples, strips


class HeatMapsRandomised:
    """The map of one sample, trained and after each step of the randomisation; one strip for each model."""

    title = "The same map while the weights are randomised"
    section = "heatmaps"

    def data(self, run: Run) -> RunHeatMaps | None:
        """None where no heat maps were made."""
        return heatmaps_of(run)

    def draw(self, data: RunHeatMaps) -> Figure:
        """Each map on its own scale, common to both eyes."""
        return strips(data, [_strip(data, trial) for trial in data.maps.trials])

    def caption(self, data: RunHeatMaps) -> str:
        """What changes from left to right."""
        return (
            f"Grad-CAM of {data.label(some_samples(data)[0])}, trained, then with fresh weights in ever "
            "more parts, named by the last one. Maps that stay as they were would show the image or the "
            "network's build, not what it learnt."
        )


def _strip(heatmaps: RunHeatMaps, trial: str) -> Strip:
    sample = some_samples(heatmaps)[0]
    label = heatmaps.label(sample)
    checks = heatmaps.maps.checks[heatmaps.maps.checks["trial"] == trial].sort_values("place")
    maps = [
        HeatMap(
            title=step or "trained", words="", heat=heatmaps.maps.of(trial, sample, GRAD_CAM, label, step)
        )
        for step in ("", *checks["step"])
    ]
    return Strip(trial, sample, f"{heatmaps.names[trial]}, ", maps)
