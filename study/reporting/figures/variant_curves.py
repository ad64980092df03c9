"""Learning curves of the variants of each ablation: which one converges fastest.

Source: as SVK_MA (Tan, Dong & Li 2023) shows the loss of its networks; the number of that figure is our reading (13).
Differs: validation loss, mean over seeds.
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import PALETTE, WIDTH, sheet
from study.reporting.run import Run

MOST = 6  # lines that can be told apart in a panel
STYLES = ("solid", (0, (4, 1.5)))


@dataclass(frozen=True)
class _VariantData:
    """Mean validation loss by epoch of each variant, by ablation; and how many variants are not drawn."""

    panels: dict[str, dict[str, pd.Series]]
    num_left_out: int


class VariantCurves:
    """Loss of the variants."""

    title = "Learning curves of the ablations"
    section = "ablations"

    def data(self, run: Run) -> _VariantData | None:
        """None without a complete ablation of at least two variants."""
        trials = run.of_role("ablation", "complete")
        panels: dict[str, dict[str, pd.Series]] = {}
        left_out = 0
        for table, group in trials.groupby("table", sort=False):
            lines = {}
            for variant, seeds in group.groupby("variant", sort=False):
                epochs = run.epochs[run.epochs["trial"].isin(seeds.index)]
                if len(epochs):
                    lines[str(variant)] = epochs.groupby("epoch")["val_loss"].mean()
            if len(lines) > 1:
                panels[str(table)] = dict(list(lines.items())[: MOST * len(STYLES)])
                left_out += max(0, len(lines) - MOST * len(STYLES))
        return _VariantData(panels, left_out) if panels else None

    def draw(self, data: _VariantData) -> Figure:
        """One panel an ablation."""
        columns = min(2, len(data.panels))
        rows = -(-len(data.panels) // columns)
        figure = sheet(WIDTH if columns > 1 else WIDTH * 0.75, 2.7 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, (table, lines) in zip(grid.flat, data.panels.items(), strict=False):
            for i, (variant, loss) in enumerate(lines.items()):
                style = STYLES[i // MOST]
                axes.plot(
                    loss.index,
                    loss,
                    color=PALETTE[i % MOST],
                    linestyle=style,
                    label=variant if len(variant) < 28 else f"{variant[:27]}…",
                )
            axes.set(title=table, xlabel="epoch", ylabel="validation loss")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend(fontsize=7)
        for axes in grid.flat[len(data.panels) :]:
            axes.set_axis_off()
        return figure

    def caption(self, data: _VariantData) -> str:
        """What a line is."""
        left_out = f" {data.num_left_out} further variants are not drawn." if data.num_left_out else ""
        return f"Validation loss by epoch, mean over seeds.{left_out}"
