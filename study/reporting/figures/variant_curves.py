"""Learning curves of the variants of each ablation: which one converges fastest.

Source: as SVK_MA (Tan, Dong & Li 2023) shows the loss of its networks; the figure's number (13) is our
reading.
Differs: validation loss, mean over seeds.
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import PALETTE, WIDTH, sheet
from study.reporting.run import Run

LINE_STYLES = ("solid", (0, (4, 1.5)))
LINES_PER_STYLE = len(PALETTE)
MAX_LINES = LINES_PER_STYLE * len(LINE_STYLES)  # that can be told apart in a panel
MAX_LETTERS = 28


@dataclass(frozen=True)
class _VariantData:
    """What is drawn.

    Attributes:
        panels: Mean validation loss by epoch of each variant, by ablation.
        num_left_out: Number of variants that are not drawn.
    """

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
        num_left_out = 0
        for ablation, group in trials.groupby("table", sort=False):
            lines = {}
            for variant, seeds in group.groupby("variant", sort=False):
                epochs = run.epochs[run.epochs["trial"].isin(seeds.index)]
                if len(epochs):
                    lines[str(variant)] = epochs.groupby("epoch")["val_loss"].mean()
            if len(lines) > 1:
                panels[str(ablation)] = dict(list(lines.items())[:MAX_LINES])
                num_left_out += max(0, len(lines) - MAX_LINES)
        return _VariantData(panels, num_left_out) if panels else None

    def draw(self, data: _VariantData) -> Figure:
        """One panel for each ablation."""
        columns = min(2, len(data.panels))
        rows = -(-len(data.panels) // columns)
        figure = sheet(WIDTH if columns > 1 else WIDTH * 0.75, 2.7 * rows)
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, (ablation, lines) in zip(grid, data.panels.items(), strict=False):
            _draw_panel(axes, ablation, lines)
        for axes in grid[len(data.panels) :]:
            axes.set_axis_off()
        return figure

    def caption(self, data: _VariantData) -> str:
        """What a line is."""
        left_out = f" {data.num_left_out} further variants are not drawn." if data.num_left_out else ""
        return f"Validation loss by epoch, mean over seeds.{left_out}"


def _draw_panel(axes: Axes, ablation: str, lines: dict[str, pd.Series]) -> None:
    for i, (variant, loss) in enumerate(lines.items()):
        colour, style = PALETTE[i % LINES_PER_STYLE], LINE_STYLES[i // LINES_PER_STYLE]
        label = variant if len(variant) < MAX_LETTERS else f"{variant[: MAX_LETTERS - 1]}…"
        axes.plot(loss.index, loss, color=colour, linestyle=style, label=label)
    axes.set(title=ablation, xlabel="epoch", ylabel="validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=7)
