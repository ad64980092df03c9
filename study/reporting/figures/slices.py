"""Each searched parameter against the validation value.

Source: the project's own.
Differs: nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from study.reporting.figure import BLUE, GREY, RED, WIDTH, sheet
from study.reporting.measures import long, short
from study.reporting.results import parameter_names, setting
from study.reporting.run import Run

MOST = 12


@dataclass(frozen=True)
class _Slice:
    """A parameter's values and what they led to; `choices` where it is no number."""

    name: str
    place: np.ndarray
    value: np.ndarray
    best: np.ndarray
    choices: tuple[str, ...] = ()
    log: bool = False


class Slices:
    """Parameter slices."""

    title = "Searched parameters"
    section = "search"

    def data(self, run: Run) -> tuple[str, list[_Slice]] | None:
        """One slice a parameter that took at least two values in complete trials; None where there is none."""
        complete = run.ranked[run.ranked["value"].notna()]
        slices = []
        for key, name in parameter_names(run).items():
            has = complete[[key in params for params in complete["params"]]]
            values = [params[key] for params in has["params"]]
            if len({repr(v) for v in values}) < 2:
                continue
            space = run.study["search_space"].get(key, {})
            place, choices = _places(values, space)
            best = has.index.to_numpy() == run.best
            slices.append(
                _Slice(name, place, has["value"].to_numpy(float), best, choices, bool(space.get("log")))
            )
        return (run.objective, slices[:MOST]) if slices else None

    def draw(self, data: tuple[str, list[_Slice]]) -> Figure:
        """Small multiples with one value axis for all."""
        measure, slices = data
        columns = {1: 1, 2: 2, 4: 2}.get(len(slices), 3)
        rows = math.ceil(len(slices) / columns)
        figure = sheet(WIDTH if columns > 1 else WIDTH / 2, 0.3 + 1.9 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, part in zip(grid.flat, slices, strict=False):
            _draw_slice(axes, part)
        for axes in grid.flat[len(slices) :]:
            axes.set_axis_off()
        figure.supylabel(f"{short(measure)}, validation", fontsize=8.5)
        return figure

    def caption(self, data: tuple[str, list[_Slice]]) -> str:
        """What a dot is."""
        return f"Validation value ({long(data[0])}) of every complete trial against each parameter it had; the chosen trial is red."


def _places(values: list[object], space: dict[str, object]) -> tuple[np.ndarray, tuple[str, ...]]:
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) and space.get(
        "type"
    ) not in ("categorical", "choice"):
        return np.array(values, dtype=float), ()
    words = [setting(v) for v in values]
    choices = tuple(sorted(set(words)))
    return np.array([choices.index(w) for w in words], dtype=float), choices


def _draw_slice(axes: Axes, part: _Slice) -> None:
    place = part.place
    if part.choices:
        rank = np.array([np.sum(place[:i] == p) for i, p in enumerate(place)])
        place = place + 0.22 * np.sin(2.4 * rank)  # spreads equal choices without chance
        for i in range(len(part.choices)):
            axes.hlines(np.median(part.value[part.place == i]), i - 0.3, i + 0.3, color=BLUE, linewidth=1.6)
        axes.set_xticks(range(len(part.choices)), [_shortened(c) for c in part.choices])
        if len(part.choices) > 2:
            axes.tick_params(axis="x", labelrotation=25)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(part.choices) - 0.5)
    elif part.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        if place.max() < 10 * place.min():
            ends = [place.min(), place.max()]
            axes.set_xticks(ends, [f"{end:.2g}" for end in ends])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.scatter(place[~part.best], part.value[~part.best], s=10, color=GREY, alpha=0.75, linewidths=0)
    axes.scatter(place[part.best], part.value[part.best], s=20, color=RED, zorder=3, linewidths=0)
    axes.set_title(part.name)


def _shortened(text: str, length: int = 16) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
