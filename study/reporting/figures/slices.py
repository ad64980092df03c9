"""Each parameter against the validation value: what was searched, and K, distance and vote of neighbours.

Source: the project's own.
Differs: nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from study.reporting.figure import BLUE, GREY, PALE, RED, WIDTH, sheet
from study.reporting.importances import left_out, most_important
from study.reporting.measures import full_name, short_name
from study.reporting.neighbour_settings import NAMES, neighbour_settings_of
from study.reporting.results import parameter_names, setting_words
from study.reporting.run import Run

MAX_PANELS = 12
MAX_LETTERS = 16


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """A parameter's values and what they led to.

    Attributes:
        name: Name of the parameter.
        place: Value of the parameter in each trial, or place of its choice.
        value: Validation value of each trial.
        best: Which trial is the chosen one.
        choices: The choices in words, where the parameter is no number.
        log: Whether the parameter has a logarithmic scale.
        in_each: Whether each trial was tried at every value; one trial's dots then follow each other.
    """

    name: str
    place: Float[np.ndarray, " t"]
    value: Float[np.ndarray, " t"]
    best: Bool[np.ndarray, " t"]
    choices: tuple[str, ...] = ()
    log: bool = False
    in_each: bool = False


@dataclass(frozen=True, kw_only=True)
class _SlicesData:
    """What is drawn.

    Attributes:
        measure: The objective.
        neighbour_measure: The measure of nearest neighbours.
        slices: One slice for each parameter that is shown.
        left_out: What the caption says of parameters that are not shown.
    """

    measure: str
    neighbour_measure: str
    slices: list[_Slice]
    left_out: str


class Slices:
    """Parameter slices."""

    title = "Parameters and their values"
    section = "search"

    def data(self, run: Run) -> _SlicesData | None:
        """None where no parameter has two values in complete trials."""
        slices = _searched(run) | _of_neighbours(run)
        shown = most_important(run, slices, MAX_PANELS)
        if not shown:
            return None
        return _SlicesData(
            measure=run.objective,
            neighbour_measure=run.head_measure,
            slices=[slices[key] for key in shown],
            left_out=left_out(run, len(shown), len(slices)),
        )

    def draw(self, data: _SlicesData) -> Figure:
        """Small multiples with one value axis for all."""
        columns = {1: 1, 2: 2, 4: 2}.get(len(data.slices), 3)
        rows = math.ceil(len(data.slices) / columns)
        figure = sheet(WIDTH if columns > 1 else WIDTH / 2, 0.3 + 1.9 * rows)
        grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        for axes, part in zip(grid, data.slices, strict=False):
            _draw_slice(axes, part)
        for axes in grid[len(data.slices) :]:
            axes.set_axis_off()
        for axes in grid[::columns]:
            axes.set_ylabel(f"{short_name(data.measure)}, validation")
        return figure

    def caption(self, data: _SlicesData) -> str:
        """What a dot is, and which parameters are not shown."""
        neighbours = (
            " Every trial was tried at every K, distance and vote of nearest neighbours. These panels show "
            f"their {full_name(data.neighbour_measure)}, averaged over the other two in each trial; against "
            "K, the median of the trials stands in a band of their middle 80 %."
        )
        return (
            f"Validation value ({full_name(data.measure)}) of the complete trials against the parameters "
            f"that they had; the chosen trial is red.{data.left_out}"
            f"{neighbours if any(part.in_each for part in data.slices) else ''}"
        )


def _searched(run: Run) -> dict[str, _Slice]:
    """A slice for each searched parameter of which complete trials had several values."""
    complete = run.of_role("search", "complete").dropna(subset="value")
    chosen = [run.best, run.of_trial(run.best, "variant")] if run.best else []  # fine-tuned, it began there
    slices = {}
    for key, name in parameter_names(run).items():
        having = complete[np.array([key in params for params in complete["params"]], dtype=bool)]
        values = [params[key] for params in having["params"]]
        if len({repr(value) for value in values}) < 2:
            continue
        space = run.study["search_space"].get(key, {})
        place, choices = _places(values, space)
        slices[key] = _Slice(
            name=name,
            place=place,
            value=having["value"].to_numpy(float),
            best=having.index.isin(chosen),
            choices=choices,
            log=bool(space.get("log")),
        )
    return slices


def _of_neighbours(run: Run) -> dict[str, _Slice]:
    """A slice for each of K, distance and vote of which several options were tried."""
    found = neighbour_settings_of(run)
    if found is None:
        return {}
    slices = {}
    for i, (key, name) in enumerate(NAMES.items()):
        options, means = found.options[i], found.means(i)
        if len(options) > 1:
            place, choices = _places(list(options) * len(means), {})
            best = np.repeat(np.array(found.trials) == run.best, len(options))
            slices[key] = _Slice(
                name=name, place=place, value=means.ravel(), best=best, choices=choices, in_each=True
            )
    return slices


def _places(
    values: Sequence[object], space: Mapping[str, object]
) -> tuple[Float[np.ndarray, " t"], tuple[str, ...]]:
    """The values of a number; else the places of the choices, and the choices in words."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numbers and space.get("type") not in ("categorical", "choice"):
        return np.array(values, dtype=float), ()
    words = list(map(setting_words, values))
    choices = tuple(sorted(set(words)))
    return np.array([choices.index(word) for word in words], dtype=float), choices


def _draw_slice(axes: Axes, part: _Slice) -> None:
    axes.set_title(part.name, fontsize=8)
    if part.in_each and not part.choices:
        _draw_curves(axes, part)
        return
    place = part.place
    if part.choices:
        place = _spread(place)
        _draw_choices(axes, part)
    elif part.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the usual one needs formulas
        axes.xaxis.set_minor_formatter(NullFormatter())
        if place.max() < 10 * place.min():
            ends = [place.min(), place.max()]
            axes.set_xticks(ends, [f"{end:.2g}" for end in ends])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=bool((part.place % 1 == 0).all())))
    axes.scatter(place[~part.best], part.value[~part.best], s=10, color=GREY, alpha=0.75, linewidths=0)
    axes.scatter(place[part.best], part.value[part.best], s=20, color=RED, zorder=3, linewidths=0)


def _draw_curves(axes: Axes, part: _Slice) -> None:
    """The middle of the trials at each value, and the chosen trial."""
    values = np.unique(part.place)
    of_trials = part.value.reshape(-1, len(values))
    low, median, high = np.quantile(of_trials, [0.1, 0.5, 0.9], axis=0)
    axes.fill_between(values, low, high, color=PALE, alpha=0.6, linewidth=0)
    axes.plot(values, median, color=BLUE, linewidth=1.6)
    axes.plot(part.place[part.best], part.value[part.best], color=RED)


def _spread(place: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Moves the dots of one choice apart, in the same way in each drawing."""
    num_before = np.array([np.sum(place[:i] == p) for i, p in enumerate(place)])
    return np.asarray(place + 0.22 * np.sin(2.4 * num_before))


def _draw_choices(axes: Axes, part: _Slice) -> None:
    """The choices below, and a line at the median of each."""
    places = range(len(part.choices))
    for i in places:
        median = np.median(part.value[part.place == i])
        axes.hlines(median, i - 0.3, i + 0.3, color=BLUE, linewidth=1.6)
    axes.set_xticks(places, list(map(_shortened, part.choices)))
    if len(part.choices) > 2:
        axes.tick_params(axis="x", labelrotation=25)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(part.choices) - 0.5)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"
