"""What the attention blocks of the models look at.

Source: SVK_MA (Tan, Dong & Li 2023), figure 12, shows what its attention block looks at.
Differs: all attention blocks of several models stand side by side.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import ATTENTION
from study.reporting.overlays import RunHeatMaps, heatmaps_of
from study.reporting.run import Run
from study.reporting.strips import HeatMap, Strip, some_samples, strips

MAX_BLOCKS = 9


class HeatMapsAttention:
    """The maps of the blocks that have one: one column for each block, one row for each eye."""

    title = "Attention inside the networks"
    section = "heatmaps"

    def data(self, run: Run) -> RunHeatMaps | None:
        """None where no heat maps were made, or no network has an attention with places."""
        heatmaps = heatmaps_of(run)
        return heatmaps if heatmaps and _trials_with_attention(heatmaps) else None

    def draw(self, data: RunHeatMaps) -> Figure:
        """Each map from its least to its greatest value, which stand above it."""
        trials = _trials_with_attention(data)
        samples = some_samples(data) if len(trials) == 1 else some_samples(data)[1:3]
        return strips(data, [_strip(data, trial, sample) for trial in trials for sample in samples])

    def caption(self, data: RunHeatMaps) -> str:
        """What the numbers are."""
        most = max(len(data.maps.names(trial, ATTENTION)) for trial in data.maps.trials)
        last = f" The last {MAX_BLOCKS} blocks of each network are shown." if most > MAX_BLOCKS else ""
        return (
            "What the blocks weigh places with. Each map is coloured between its least and its greatest "
            "value over both eyes, which stand above it: a narrow range is an even map. Gates lie between "
            "0 and 1 (mean over channels). What the other eye or a mirror image sees is the attention that "
            "a place gets, where 1 is an even share. Attention says where a block looks, not for which "
            f"label.{last}"
        )


def _trials_with_attention(heatmaps: RunHeatMaps) -> list[str]:
    return [trial for trial in heatmaps.maps.trials if heatmaps.maps.names(trial, ATTENTION)]


def _strip(heatmaps: RunHeatMaps, trial: str, sample: str) -> Strip:
    maps = []
    for name in heatmaps.maps.names(trial, ATTENTION)[-MAX_BLOCKS:]:
        heat = heatmaps.maps.of(trial, sample, ATTENTION, name)
        least = min(float(m.min()) for m in heat.values())
        greatest = max(float(m.max()) for m in heat.values())
        words = f"{least:.2f} to {greatest:.2f}"
        maps.append(HeatMap(title=name, words=words, heat=heat, from_zero=False))
    return Strip(trial, sample, f"{heatmaps.names[trial]}, ", maps)
