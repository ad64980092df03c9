"""Parallel coordinates: every complete trial as a line through its parameters and its value.

Source: Inselberg 1985, The plane with parallel coordinates.
Differs: nothing.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from study.reporting.figure import INK, PALE, WIDTH, sheet
from study.reporting.measures import long, short
from study.reporting.results import parameter_names, setting
from study.reporting.run import Run

MOST = 9  # axes that fit on a page


@dataclass(frozen=True)
class _Axis:
    """Places between 0 and 1 (NaN where a trial lacks the parameter) and the words at some of them."""

    name: str
    place: np.ndarray
    ticks: list[tuple[float, str]]


class Parallel:
    """Parallel coordinates."""

    title = "All complete trials at a glance"
    section = "search"

    def data(self, run: Run) -> tuple[str, list[_Axis], np.ndarray] | None:
        """Measure, axes, and the rank of each trial's value (1 is best); None with fewer than three trials or one parameter."""
        complete = run.ranked[run.ranked["value"].notna()]
        axes = []
        for key, name in parameter_names(run).items():
            values = [params.get(key, np.nan) for params in complete["params"]]
            if len({repr(v) for v in values if v is not np.nan}) > 1:
                axes.append(_axis(name, values, bool(run.study["search_space"].get(key, {}).get("log"))))
        if len(complete) < 3 or len(axes) < 2:
            return None
        value = complete["value"].to_numpy(float)
        axes = [*axes[: MOST - 1], _axis(f"{short(run.objective)}, validation", list(value), log=False)]
        return run.objective, axes, 1 - np.arange(len(value)) / max(1, len(value) - 1)

    def draw(self, data: tuple[str, list[_Axis], np.ndarray]) -> Figure:
        """The better a trial, the darker its line."""
        _, parts, rank = data
        figure = sheet(WIDTH, 3.1)
        axes = figure.subplots()
        places = np.stack([part.place for part in parts], axis=1)
        for line, share in sorted(zip(places, rank, strict=True), key=lambda p: float(p[1])):
            known = np.flatnonzero(np.isfinite(line))
            for a, b in pairwise(known):
                style = "solid" if b == a + 1 else (0, (1, 2))
                axes.plot(
                    [a, b], line[[a, b]], color=_shade(share), linewidth=0.6 + 1.2 * share**4, linestyle=style
                )
        for i, part in enumerate(parts):
            axes.axvline(i, color=INK, linewidth=0.6, zorder=3)
            for place, word in part.ticks:
                axes.annotate(word, (i, place), (3, 0), textcoords="offset points", va="center", size=6.5, zorder=4,
                              bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6})  # fmt: skip
        axes.set_xticks(
            range(len(parts)), [part.name for part in parts], rotation=18 if len(parts) > 5 else 0
        )
        axes.set(ylim=(-0.04, 1.04), xlim=(-0.1, len(parts) - 0.4), yticks=[])
        axes.spines[:].set_visible(False)
        axes.tick_params(axis="x", length=0)
        return figure

    def caption(self, data: tuple[str, list[_Axis], np.ndarray]) -> str:
        """How to read a line."""
        return (
            f"Each line is a trial; the greater its {long(data[0])} on validation, the darker it is; "
            "it is dotted past a parameter that it does not have."
        )


def _axis(name: str, values: list[object], log: bool) -> _Axis:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers:
        words = [None if v is np.nan else setting(v) for v in values]
        choices = sorted({w for w in words if w is not None})
        step = {word: i / max(1, len(choices) - 1) for i, word in enumerate(choices)}
        return _Axis(
            name,
            np.array([np.nan if w is None else step[w] for w in words]),
            [(p, w) for w, p in step.items()],
        )
    found = np.array(values, dtype=float)
    scaled = np.log10(found) if log else found
    low, high = np.nanmin(scaled), np.nanmax(scaled)
    place = (scaled - low) / (high - low) if high > low else np.where(np.isnan(scaled), np.nan, 0.5)
    return _Axis(name, place, [(0.0, f"{np.nanmin(found):.3g}"), (1.0, f"{np.nanmax(found):.3g}")])


def _shade(share: float) -> tuple[float, float, float]:
    """From pale grey for the worst to blue for the best."""
    pale = np.array([int(PALE[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    dark = np.array([0.0, 0.30, 0.55])
    red, green, blue = pale + (dark - pale) * share**2
    return float(red), float(green), float(blue)
