"""What the attention blocks of the models look at.

Source: the project's own; SVK_MA (Tan, Dong & Li 2023), figure 18, shows the effect of its attention by Grad-CAM only.
Differs: nothing.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import ATTENTION
from study.reporting.overlays import Shelf, shelf_of
from study.reporting.run import Run
from study.reporting.strips import Cell, Strip, few, strips

MOST_BLOCKS = 9


class HeatMapsAttention:
    """The maps of the blocks that have one: one column a block, one row an eye."""

    title = "Attention inside the networks"
    section = "heatmaps"

    def data(self, run: Run) -> Shelf | None:
        """None where no heat maps were made, or no network has an attention with places."""
        shelf = shelf_of(run)
        return (
            shelf
            if shelf and any(shelf.maps.names(trial, ATTENTION) for trial in shelf.maps.trials)
            else None
        )

    def draw(self, data: Shelf) -> Figure:
        """Each map from its least to its greatest value, which stand above it."""
        there = [trial for trial in data.maps.trials if data.maps.names(trial, ATTENTION)]
        samples = few(data) if len(there) == 1 else few(data)[1:3]
        return strips(data, [self._strip(data, trial, sample) for trial in there for sample in samples])

    def caption(self, data: Shelf) -> str:
        """What the numbers are."""
        most = max(len(data.maps.names(trial, ATTENTION)) for trial in data.maps.trials)
        more = f" The last {MOST_BLOCKS} blocks of each network." if most > MOST_BLOCKS else ""
        return (
            "What the blocks weigh places with, each map coloured between its least and its greatest value over both eyes, which stand "
            "above it: a narrow range is an even map. Gates lie between 0 and 1 (mean over channels). What the other eye or a mirror image "
            "sees is the attention that a place gets, where 1 is an even share. Attention says where a block looks, not for which label."
            f"{more}"
        )

    def _strip(self, data: Shelf, trial: str, sample: str) -> Strip:
        cells = []
        for name in data.maps.names(trial, ATTENTION)[-MOST_BLOCKS:]:
            heat = data.maps.of(trial, sample, ATTENTION, name)
            least, greatest = (
                min(float(m.min()) for m in heat.values()),
                max(float(m.max()) for m in heat.values()),
            )
            cells.append(Cell(name, f"{least:.2f} to {greatest:.2f}", heat, from_zero=False))
        return Strip(trial, sample, f"{data.names[trial]}, ", cells)
