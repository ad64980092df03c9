"""Loss of the variants of each ablation by epoch: which one converges fastest.

Source: as Figure 17 of SVK_MA (Tan, Dong & Li 2023) shows the loss of its networks during training.
Differs: mean over seeds; the validation loss stands beside the training loss.
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figure import PALETTE, WIDTH, sheet
from study.reporting.run import Run
from study.spec.wording import component_name

LINE_STYLES = ("solid", (0, (4, 1.5)))
LINES_PER_STYLE = len(PALETTE)
MAX_LINES = LINES_PER_STYLE * len(LINE_STYLES)  # that can be told apart in a panel
MAX_LETTERS = 28
LOSSES = {"train_loss": "training loss", "val_loss": "validation loss"}


@dataclass(frozen=True)
class _VariantData:
    """What is drawn.

    Attributes:
        panels: Mean losses by epoch of each variant, with the columns of `LOSSES`, by ablation.
        unlike: Ablations whose variants do not all minimise the same loss.
        num_left_out: Number of variants that are not drawn.
    """

    panels: dict[str, dict[str, pd.DataFrame]]
    unlike: tuple[str, ...]
    num_left_out: int


class VariantCurves:
    """Losses of the variants."""

    title = "Learning curves of the ablations"
    section = "ablations"

    def data(self, run: Run) -> _VariantData | None:
        """None without a complete ablation of at least two variants."""
        trials = run.of_role("ablation", "complete")
        panels: dict[str, dict[str, pd.DataFrame]] = {}
        unlike = []
        num_left_out = 0
        for ablation, group in trials.groupby("table", sort=False):
            variants = group.groupby("variant", sort=False)
            means = {str(variant): _mean_losses(run, seeds) for variant, seeds in variants}
            lines = {variant: losses for variant, losses in means.items() if len(losses)}
            if len(lines) > 1:
                panels[str(ablation)] = dict(list(lines.items())[:MAX_LINES])
                num_left_out += max(0, len(lines) - MAX_LINES)
                if len({component_name(spec.get("loss", "")) for spec in group["spec"]}) > 1:
                    unlike.append(str(ablation))
        return _VariantData(panels, tuple(unlike), num_left_out) if panels else None

    def draw(self, data: _VariantData) -> Figure:
        """One row for each ablation: the training loss, then the validation loss."""
        figure = sheet(WIDTH, 2.3 * len(data.panels))
        grid = figure.subplots(len(data.panels), len(LOSSES), squeeze=False)
        for row, (ablation, lines) in zip(grid, data.panels.items(), strict=True):
            for axes, loss in zip(row, LOSSES, strict=True):
                _draw_panel(axes, loss, lines)
            row[0].set_title(ablation)
            row[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7)
        return figure

    def caption(self, data: _VariantData) -> str:
        """What a line is, and where two lines cannot be compared."""
        left_out = f" {data.num_left_out} further variants are not drawn." if data.num_left_out else ""
        unlike = ""
        if data.unlike:
            unlike = (
                f" The variants of {' and '.join(data.unlike)} minimise different losses, so that only the "
                "shapes of their lines compare."
            )
        return (
            "Loss by epoch on the training split (left) and the validation split (right), mean over seeds, "
            f"up to the last epoch of the seed that ended first.{unlike}{left_out}"
        )


def _mean_losses(run: Run, seeds: pd.DataFrame) -> pd.DataFrame:
    """Mean over the seeds in every epoch that all of them reached."""
    by_epoch = run.epochs[run.epochs["trial"].isin(seeds.index)].groupby("epoch")
    return by_epoch[list(LOSSES)].mean()[by_epoch.size() == len(seeds)]


def _draw_panel(axes: Axes, loss: str, lines: dict[str, pd.DataFrame]) -> None:
    for i, (variant, losses) in enumerate(lines.items()):
        colour, style = PALETTE[i % LINES_PER_STYLE], LINE_STYLES[i // LINES_PER_STYLE]
        label = variant if len(variant) < MAX_LETTERS else f"{variant[: MAX_LETTERS - 1]}…"
        axes.plot(losses.index, losses[loss], color=colour, linestyle=style, label=label)
    axes.set(xlabel="epoch", ylabel=LOSSES[loss])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
