"""The two strongest parameters of the search together: the mean value of each pair of their options.

Source: the project's own.
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.reporting.figure import INK, WIDTH, in_lines, sheet
from study.reporting.figures.confusion import SHADES
from study.reporting.interaction import PairsOfOptions, interaction_of
from study.reporting.measures import full_name
from study.reporting.run import Run

CELL = (1.15, 0.48)  # inches
NAMES = 1.7  # inches for the names at the left
LETTERS_PER_LINE = 18  # of an option
PALEST, DARKEST = 0.05, 0.5  # the words are dark on every shade


@dataclass(frozen=True)
class _InteractionData:
    """What is drawn.

    Attributes:
        measure: The objective.
        pairs: The values.
    """

    measure: str
    pairs: PairsOfOptions


class Interaction:
    """A shade, a mean and a number of trials for each pair."""

    title = "The two strongest parameters together"
    section = "mattered"

    def data(self, run: Run) -> _InteractionData | None:
        """None where a pair has too few trials, which a sentence on the page says."""
        found = interaction_of(run)
        return _InteractionData(run.objective, found) if found and found.enough else None

    def draw(self, data: _InteractionData) -> Figure:
        """Darker where the mean is greater."""
        pairs = data.pairs
        num_rows, num_columns = pairs.mean.shape
        figure = sheet(min(WIDTH, NAMES + CELL[0] * num_columns), 0.75 + CELL[1] * num_rows)
        axes = figure.subplots()
        low, high = pairs.mean.min(), pairs.mean.max()
        shade = PALEST + (DARKEST - PALEST) * (pairs.mean - low) / ((high - low) or 1.0)
        edges = (np.arange(num + 1) - 0.5 for num in (num_columns, num_rows))
        axes.pcolormesh(*edges, shade, cmap=SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=1)
        axes.invert_yaxis()
        for (row, column), mean in np.ndenumerate(pairs.mean):
            words = f"{mean:.3f} ± {pairs.spread[row, column]:.3f}\n{pairs.num_trials[row, column]} trials"
            axes.text(column, row, words, ha="center", va="center", color=INK, size=7.5)
        for place, axis in enumerate((axes.yaxis, axes.xaxis)):
            shown = ["\n".join(in_lines(option, LETTERS_PER_LINE)) for option in pairs.options[place]]
            axis.set_ticks(range(len(shown)), shown)
            axis.set_label_text(pairs.names[place])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return figure

    def caption(self, data: _InteractionData) -> str:
        """Whose numbers these are, and what they do not show."""
        chance = data.pairs.by_chance
        words = f" By itself, {' and '.join(chance)} is not above chance." if chance else ""
        return (
            f"From the search, no paired test: mean and standard deviation of {full_name(data.measure)} on "
            "validation over the complete trials with both options, and their number. The trials differ in "
            f"other settings, too, and the sampler tried more of what was good.{words}"
        )
