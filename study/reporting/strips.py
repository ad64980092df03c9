"""Strips of heat maps: a sample's photograph, then one small map after another, one row for each eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from study.reporting.figure import GREY, INK, in_lines
from study.reporting.overlays import GAP, Canvas, Photo, RunHeatMaps, heat_over

MAP_SIZE = 0.62  # inches
LINE_HEIGHT = 0.12  # inches
LETTERS_PER_LINE = 12
NUM_SAMPLES = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class HeatMap:
    """One map of both eyes.

    Attributes:
        title: What the map is of.
        words: A number below the title.
        heat: The map of each eye that has one.
        bold: Whether the number is printed bold.
        from_zero: Whether the coldest colour is heat 0; else it is the least heat of both eyes.
    """

    title: str
    words: str
    heat: Mapping[int, Float[np.ndarray, "h w"]]
    bold: bool = False
    from_zero: bool = True

    @property
    def lines(self) -> list[str]:
        """The title in lines."""
        return in_lines(self.title, LETTERS_PER_LINE)


@dataclass(frozen=True, eq=False)
class Strip:
    """A sample as a trial's network sees it.

    Attributes:
        trial: Key of the trial.
        sample: Name of the sample.
        title: What stands before the sample's name.
        maps: The maps from left to right.
    """

    trial: str
    sample: str
    title: str
    maps: Sequence[HeatMap]


def some_samples(heatmaps: RunHeatMaps) -> list[str]:
    """Up to four samples, as many wrong ones as right ones where there are both."""
    right = [
        sample for sample in heatmaps.right_first() if heatmaps.is_right(heatmaps.maps.trials[0], sample)
    ]
    wrong = [sample for sample in heatmaps.right_first() if sample not in right]
    num_wrong = min(len(wrong), max(NUM_SAMPLES // 2, NUM_SAMPLES - len(right)))
    return [*right[: NUM_SAMPLES - num_wrong], *wrong[:num_wrong]]


def strips(heatmaps: RunHeatMaps, rows: Sequence[Strip]) -> Figure:
    """The strips below each other."""
    num_lines = max((len(heat_map.lines) for row in rows for heat_map in row.maps), default=1)
    head = 0.2 + LINE_HEIGHT * (num_lines + 1) + 0.04
    step = head + heatmaps.num_views * (MAP_SIZE + GAP) + 0.16
    num_columns = max(len(row.maps) for row in rows) + 1
    canvas = Canvas(max(num_columns * (MAP_SIZE + GAP) + 0.1, 3.4), step * len(rows))
    for place, row in enumerate(rows):
        y = place * step
        canvas.verdict(0, y + 0.14, right=heatmaps.is_right(row.trial, row.sample))
        canvas.text(0.42, y + 0.14, f"{row.title}{row.sample}: {heatmaps.heading(row.sample, row.trial)}")
        photos = heatmaps.photos(row.trial, row.sample)
        for view, photo in enumerate(photos):
            canvas.picture(0, y + head + view * (MAP_SIZE + GAP), photo, MAP_SIZE)
        for column, heat_map in enumerate(row.maps, start=1):
            _draw_map(canvas, heat_map, photos, column * (MAP_SIZE + GAP) + 0.1, y + head)
    return canvas.figure


def _draw_map(canvas: Canvas, heat_map: HeatMap, photos: Sequence[Photo], x: float, y: float) -> None:
    """Draws a map of both eyes from x, y down; its title and number stand above."""
    lines = heat_map.lines
    for i, line in enumerate(lines):
        canvas.text(x, y - 0.04 - LINE_HEIGHT * (len(lines) - i), line, size=6.5)
    colour = INK if heat_map.bold else GREY
    canvas.text(x, y - 0.04, heat_map.words, size=6.5, bold=heat_map.bold, colour=colour)
    low = 0.0 if heat_map.from_zero else min(float(m.min()) for m in heat_map.heat.values())
    high = max(float(m.max()) for m in heat_map.heat.values())
    for view, heat in heat_map.heat.items():
        seen = heat_over(photos[view], heat, high, low)
        canvas.picture(x, y + view * (MAP_SIZE + GAP), seen, MAP_SIZE)
