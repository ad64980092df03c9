"""How often each label is carried: its share of all samples, and the numbers in each split.

Source: as Figure 13 of SVK_MA (Tan, Dong & Li 2023) shows the percentage and the number of both diseases.
Differs: the numbers are divided by split; a sample may carry several labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from study.reporting.figure import BLUE, ORANGE, PALETTE, SKY, WIDTH, sheet
from study.reporting.results import label_titles
from study.reporting.run import Run
from study.reporting.tables.split import SPLIT_NAMES

COLOURS = {"train": BLUE, "val": ORANGE, "test": SKY}


@dataclass(frozen=True, kw_only=True)
class _DistributionData:
    """What is drawn.

    Attributes:
        labels: Names of the labels.
        samples: Number of samples.
        counts: Number of carriers of each label, by split.
    """

    labels: tuple[str, ...]
    samples: int
    counts: Mapping[str, tuple[int, ...]]

    @property
    def totals(self) -> tuple[int, ...]:
        """Number of carriers of each label in all splits."""
        return tuple(map(sum, zip(*self.counts.values(), strict=True)))


class Distribution:
    """Bars for each label."""

    title = "Distribution of the labels"
    section = "data"

    def data(self, run: Run) -> _DistributionData | None:
        """None where the study's row has no counts."""
        stored: Mapping[str, Mapping[str, int]] = run.study["split_counts"]
        samples = sum(split.get("samples", 0) for split in stored.values())
        if not samples:
            return None
        counts = {name: tuple(split.get(label, 0) for label in run.labels) for name, split in stored.items()}
        return _DistributionData(labels=label_titles(run), samples=samples, counts=counts)

    def draw(self, data: _DistributionData) -> Figure:
        """Left the shares, right the numbers, whose parts are the splits."""
        figure = sheet(WIDTH, 1.1 + 0.28 * len(data.labels))
        left, right = figure.subplots(1, 2, sharey=True)
        places = range(len(data.labels))
        shares = [100 * total / data.samples for total in data.totals]
        bars = left.barh(places, shares, color=BLUE, height=0.6)
        start = [0] * len(data.labels)
        for i, (split, counts) in enumerate(data.counts.items()):
            look: Any = {"color": COLOURS.get(split, PALETTE[i % len(PALETTE)]), "height": 0.6}
            parts = right.barh(places, counts, left=start, label=SPLIT_NAMES.get(split, split), **look)
            start = [before + count for before, count in zip(start, counts, strict=True)]
        left.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=3, size=8)
        right.bar_label(parts, [f"{total:,}" for total in data.totals], padding=3, size=8)
        for axes, title in ((left, "Share of all samples, %"), (right, "Number of samples")):
            axes.set_title(title)
            axes.margins(x=0.14)
        left.set_yticks(places, list(data.labels))
        left.invert_yaxis()
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
        return figure

    def caption(self, data: _DistributionData) -> str:
        """How many samples there are."""
        return f"{data.samples:,} samples in all; generated images are not counted."
