"""Parallel coordinates: every complete trial as a line through its parameters and its value.

A trial for which nearest neighbours stand has their K, distance and vote among its parameters.

Source: Inselberg 1985, The plane with parallel coordinates.
Differs: nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.reporting.figure import INK, PALE, WIDTH, sheet
from study.reporting.importances import left_out, most_important
from study.reporting.measures import full_name, short_name
from study.reporting.neighbour_settings import NAMES
from study.reporting.results import chosen_params, parameter_names, setting_words
from study.reporting.run import Run

MAX_AXES = 9  # that fit on a page


@dataclass(frozen=True)
class _Axis:
    """A vertical axis.

    Attributes:
        name: Name of the parameter.
        place: Place of each trial, between 0 and 1; NaN where it lacks the parameter.
        ticks: Places with words.
    """

    name: str
    place: Float[np.ndarray, " t"]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class _ParallelData:
    """What is drawn.

    Attributes:
        measure: The objective.
        axes: The axes from left to right.
        rank: Rank of each trial's value, from 1 for the best down to 0.
        left_out: What the caption says of parameters that are not shown.
    """

    measure: str
    axes: list[_Axis]
    rank: Float[np.ndarray, " t"]
    left_out: str


class Parallel:
    """Parallel coordinates."""

    title = "All complete trials at a glance"
    section = "search"

    def data(self, run: Run) -> _ParallelData | None:
        """None for fewer than three complete trials, or fewer than two parameters that differ."""
        complete = run.ranked[run.ranked["value"].notna() & (run.ranked["role"] == "search")]
        of_trials = [chosen_params(run, str(trial)) for trial in complete.index]
        axes = {}
        for key, name in {**parameter_names(run), **NAMES}.items():
            values = [params.get(key, np.nan) for params in of_trials]
            if len({repr(value) for value in values if value is not np.nan}) > 1:
                log = bool(run.study["search_space"].get(key, {}).get("log"))
                axes[key] = _axis(name, values, log=log)
        if len(complete) < 3 or len(axes) < 2:
            return None
        value = complete["value"].to_numpy(float)
        last = _axis(f"{short_name(run.objective)}, validation", list(value), log=False)
        rank = 1 - np.arange(len(value)) / max(1, len(value) - 1)
        shown = most_important(run, axes, MAX_AXES - 1)
        words = left_out(run, len(shown), len(axes))
        return _ParallelData(run.objective, [*(axes[key] for key in shown), last], rank, words)

    def draw(self, data: _ParallelData) -> Figure:
        """The better a trial, the darker its line."""
        figure = sheet(WIDTH, 3.1)
        axes = figure.subplots()
        places = np.stack([axis.place for axis in data.axes], axis=1)
        for line, rank in sorted(zip(places, data.rank, strict=True), key=lambda pair: float(pair[1])):
            _draw_line(axes, line, float(rank))
        for i, axis in enumerate(data.axes):
            axes.axvline(i, color=INK, linewidth=0.6, zorder=3)
            for place, word in axis.ticks:
                _draw_word(axes, i, place, word)
        names = [axis.name for axis in data.axes]
        look: Any = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if len(names) > 5 else {}
        axes.set_xticks(range(len(names)), names, **look)
        axes.set(ylim=(-0.04, 1.04), xlim=(-0.1, len(names) - 0.4), yticks=[])
        axes.spines[:].set_visible(False)
        axes.tick_params(axis="x", length=0)
        return figure

    def caption(self, data: _ParallelData) -> str:
        """How to read a line."""
        return (
            f"Each line is a trial; the better its {full_name(data.measure)} on validation, the darker it "
            f"is; it is dotted past a parameter that it does not have.{data.left_out}"
        )


def _axis(name: str, values: Sequence[object], *, log: bool) -> _Axis:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _axis_of_words(name, values)
    found = np.array(values, dtype=float)
    scaled = np.log10(found) if log else found
    low, high = np.nanmin(scaled), np.nanmax(scaled)
    place = (scaled - low) / (high - low) if high > low else np.where(np.isnan(scaled), np.nan, 0.5)
    return _Axis(name, place, [(0.0, f"{np.nanmin(found):.3g}"), (1.0, f"{np.nanmax(found):.3g}")])


def _axis_of_words(name: str, values: Sequence[object]) -> _Axis:
    words = [None if value is np.nan else setting_words(value) for value in values]
    choices = sorted({word for word in words if word is not None})
    places = {word: i / max(1, len(choices) - 1) for i, word in enumerate(choices)}
    place = np.array([np.nan if word is None else places[word] for word in words])
    return _Axis(name, place, [(at, word) for word, at in places.items()])


def _draw_line(axes: Axes, line: Float[np.ndarray, " a"], rank: float) -> None:
    """A trial's line, dotted past the axes where it has no place."""
    known = np.flatnonzero(np.isfinite(line))
    for a, b in pairwise(known):
        style = "solid" if b == a + 1 else (0, (1, 2))
        width = 0.6 + 1.2 * rank**4
        axes.plot([a, b], line[[a, b]], color=_shade(rank), linewidth=width, linestyle=style)


def _draw_word(axes: Axes, x: int, y: float, word: str) -> None:
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    look: Any = {"va": "center", "size": 6.5, "zorder": 4, "bbox": box}
    axes.annotate(word, (x, y), (3, 0), textcoords="offset points", **look)


def _shade(rank: float) -> tuple[float, float, float]:
    """From pale grey for the worst to blue for the best."""
    pale = np.array([int(PALE[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    dark = np.array([0.0, 0.30, 0.55])
    red, green, blue = pale + (dark - pale) * rank**2
    return float(red), float(green), float(blue)
