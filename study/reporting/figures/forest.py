"""A forest plot of what each option of the network is worth.

Source: Lewis & Clarke 2001, Forest plots: trying to see the wood and the trees.
Differs: the rows are options of a network's parts, not trials of a treatment, and they are not pooled.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.reporting.answer import with_interval
from study.reporting.effects import Effect, effects_of, parts_shown
from study.reporting.figure import BLUE, GREY, INK, WIDTH, sheet
from study.reporting.measures import short_name
from study.reporting.run import Run

ROW = 0.19  # inches
HEADING = 1.15  # rows that the heading of a part takes


@dataclass(frozen=True)
class _ForestData:
    """What is drawn.

    Attributes:
        measure: The objective.
        parts: The effects by part and ablation.
    """

    measure: str
    parts: dict[tuple[str, str], list[Effect]]


class Forest:
    """One line for each option, by part."""

    title = "What each option is worth"
    section = "mattered"

    def data(self, run: Run) -> _ForestData | None:
        """None where no part has two options."""
        effects = effects_of(run)
        return _ForestData(run.objective, parts_shown(effects)) if effects else None

    def draw(self, data: _ForestData) -> Figure:
        """The interval of each difference, its number at the right, and the reference at zero."""
        rows = sum(len(effects) + HEADING for effects in data.parts.values())
        figure = sheet(WIDTH, 0.55 + ROW * rows)
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=0.8)
        ends = [0.0]
        y = 0.0
        names: list[tuple[float, str]] = []
        for (part, where), effects in data.parts.items():
            _draw_heading(axes, y, part, effects[0], where)
            y += HEADING
            for effect in effects:
                _draw_effect(axes, y, effect)
                names.append((y, effect.option))
                ends += [effect.difference.low, effect.difference.high, effect.difference.value]
                y += 1
        known = [end for end in ends if end == end]
        margin = 0.04 * (max(known) - min(known) or 1.0)
        axes.set(xlim=(min(known) - margin, max(known) + margin), ylim=(y - 0.3, -0.6))
        axes.set_yticks([place for place, _ in names], [name for _, name in names])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"difference in {short_name(data.measure)} on the test patients")
        return figure

    def caption(self, data: _ForestData) -> str:
        """How to read it."""
        return (
            "Difference of each option from the one that is named beside its part, on the same test "
            "patients, with 95 % intervals that are not corrected for their number. Filled: from an "
            "ablation, which changes this part alone. Hollow: from the search, the best trial with the "
            "option against the chosen one; such two trials differ in more than the part. A dot without a "
            "line has no interval, because a label has too few carriers."
        )


def _draw_heading(axes: Axes, y: float, part: str, first: Effect, where: str) -> None:
    source = where or "the search"
    words = f"{part}, against {first.reference} ({source})"
    axes.annotate(
        words, (0, y), xycoords=("axes fraction", "data"), va="center", size=8.5, weight="bold", color=INK
    )


def _draw_effect(axes: Axes, y: float, effect: Effect) -> None:
    found = effect.difference
    filled = effect.source == "ablation"
    axes.hlines(y, found.low, found.high, color=BLUE, linewidth=1.4)
    face = BLUE if filled else "white"
    axes.scatter(found.value, y, s=24, facecolors=face, edgecolors=BLUE, linewidths=1.2, zorder=3)
    place = (1.01, y)
    axes.annotate(with_interval(found), place, xycoords=("axes fraction", "data"), va="center", size=7.5)
