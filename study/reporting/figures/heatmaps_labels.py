"""Heat maps of every label of a few samples, by the chosen model.

Source: Grad-CAM (Selvaraju et al. 2017), whose point is that the map depends on the label.
Differs: nothing.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.overlays import Shelf, shelf_of
from study.reporting.run import Run
from study.reporting.strips import Cell, Strip, few, strips

MOST_LABELS = 10


class HeatMapsLabels:
    """Grad-CAM of each label: one column a label, one row an eye."""

    title = "One map a label"
    section = "heatmaps"

    def data(self, run: Run) -> Shelf | None:
        """None where no heat maps were made."""
        return shelf_of(run)

    def draw(self, data: Shelf) -> Figure:
        """Each label's maps on their own scale, common to both eyes."""
        trial, labels = data.maps.trials[0], data.labels[:MOST_LABELS]
        return strips(
            data,
            [
                Strip(trial, sample, "", [self._cell(data, trial, sample, label) for label in labels])
                for sample in few(data)
            ],
        )

    def _cell(self, data: Shelf, trial: str, sample: str, label: str) -> Cell:
        score, carried = data.score(trial, sample, label), data.carries(sample, label)
        return Cell(label, f"{score:.2f}", data.maps.of(trial, sample, GRAD_CAM, label), bold=carried)

    def caption(self, data: Shelf) -> str:
        """The trial, and what is bold."""
        more = (
            f" The first {MOST_LABELS} of {len(data.labels)} labels."
            if len(data.labels) > MOST_LABELS
            else ""
        )
        return (
            f"Grad-CAM of each label by {data.maps.trials[0]}, each label on its own scale, with its probability: bold where the sample "
            f"carries the label.{more} Where the probability is near 0, the map shows what little speaks for the label; in grey eyes "
            "nothing does."
        )
