"""Heat maps of every label of a few samples, by the chosen model.

Source: Grad-CAM (Selvaraju et al. 2017), whose point is that the map depends on the label.
Differs: nothing.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.overlays import RunHeatMaps, heatmaps_of
from study.reporting.run import Run
from study.reporting.strips import HeatMap, Strip, some_samples, strips

MAX_LABELS = 10


class HeatMapsLabels:
    """Grad-CAM of each label: one column for each label, one row for each eye."""

    title = "One map for each label"
    section = "heatmaps"

    def data(self, run: Run) -> RunHeatMaps | None:
        """None where no heat maps were made."""
        return heatmaps_of(run)

    def draw(self, data: RunHeatMaps) -> Figure:
        """Each label's maps on their own scale, common to both eyes."""
        trial = data.maps.trials[0]
        rows = []
        for sample in some_samples(data):
            maps = [_heat_map(data, trial, sample, label) for label in data.labels[:MAX_LABELS]]
            rows.append(Strip(trial, sample, "", maps))
        return strips(data, rows)

    def caption(self, data: RunHeatMaps) -> str:
        """The trial, and what is bold."""
        first = ""
        if len(data.labels) > MAX_LABELS:
            first = f" The first {MAX_LABELS} of {len(data.labels)} labels are shown."
        return (
            f"Grad-CAM of each label by {data.maps.trials[0]}, each label on its own scale, with its "
            f"probability: bold where the sample carries the label.{first} Where the probability is near 0, "
            "the map shows what little speaks for the label; in grey eyes nothing does."
        )


def _heat_map(heatmaps: RunHeatMaps, trial: str, sample: str, label: str) -> HeatMap:
    return HeatMap(
        title=label,
        words=f"{heatmaps.score(trial, sample, label):.2f}",
        heat=heatmaps.maps.of(trial, sample, GRAD_CAM, label),
        bold=heatmaps.carries(sample, label),
    )
