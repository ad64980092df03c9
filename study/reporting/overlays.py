"""What the heat map figures share: photographs with heat over them, laid out by hand in inches."""

import io
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, UInt8
from matplotlib.figure import Figure
from PIL import Image

from study.evidence.heatmap_tables import HeatMaps, read_heatmaps
from study.reporting.figure import GREEN, INK, RED
from study.reporting.run import Run

EYES = ("left eye", "right eye")
FIGURES = ("heatmaps", "heatmaps_labels", "heatmaps_attention", "heatmaps_check", "heatmaps_randomised")
CELL, GAP = 0.8, 0.04  # inches
CELL_PX = 112
STRONGEST = 0.8  # opacity of the hottest place, so that the photograph still shows there

Photo = UInt8[np.ndarray, "px px 3"]


@dataclass(frozen=True, eq=False)
class Shelf:
    """The heat maps of a run, and what is said of each sample.

    Attributes:
        maps: as stored.
        labels: of the run, in the order of targets and scores.
        names: what each trial is called in a heading.
    """

    maps: HeatMaps
    labels: tuple[str, ...]
    names: Mapping[str, str]

    def photos(self, trial: str, sample: str) -> list[Photo]:
        """The eyes as the trial's network saw them."""
        return [_photo(data) for data in self._row(trial, sample)["images"]]

    def label(self, sample: str) -> str:
        """The label of interest."""
        return str(self._row(self.maps.trials[0], sample)["label"])

    def score(self, trial: str, sample: str, label: str) -> float:
        """The probability that the trial gives the label."""
        return float(self._row(trial, sample)["score"][self.labels.index(label)])

    def carries(self, sample: str, label: str) -> bool:
        """Whether the sample carries the label."""
        return bool(self._row(self.maps.trials[0], sample)["target"][self.labels.index(label)] > 0)

    @property
    def num_views(self) -> int:
        """2 for pairs, 1 for single images."""
        return len(self.maps.samples["images"].iloc[0])

    def is_right(self, trial: str, sample: str, label: str | None = None) -> bool:
        """Whether the trial decides the label, or all labels, rightly."""
        row = self._row(trial, sample)
        same = (np.asarray(row["target"]) > 0) == np.asarray(row["decided"])
        return bool(same.all() if label is None else same[self.labels.index(label)])

    def right_first(self) -> list[str]:
        """The samples, those that the reference trial has right before the wrong ones."""
        return sorted(self.maps.cases, key=lambda sample: not self.is_right(self.maps.trials[0], sample))

    def heading(self, sample: str, trial: str | None = None) -> str:
        """What the sample carries, and what the trial (left out, the reference) makes of it where that differs."""
        row = self._row(trial or self.maps.trials[0], sample)
        true, said = (
            ", ".join(np.array(self.labels)[np.asarray(row[key]) > 0]) or "nothing"
            for key in ("target", "decided")
        )
        return f"is {true}" if true == said else f"is {true}, called {said}"

    def _row(self, trial: str, sample: str) -> Mapping[Hashable, Any]:
        return self._rows[trial, sample]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], Mapping[Hashable, Any]]:
        return {(str(row["trial"]), str(row["sample"])): row for row in self.maps.samples.to_dict("records")}


def shelf_of(run: Run) -> Shelf | None:
    """The run's heat maps; None where none were made, or their trials are no longer in the run."""
    found = read_heatmaps(run.store)
    if found is None or not set(found.trials) <= set(run.trials.index):
        return None
    names = {key: str(run.of_trial(key, "variant") or key) for key in found.trials}
    return Shelf(found, run.labels, names)


class Paper:
    """A figure with pictures and words at places in inches, counted from the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height))
        self.figure.suppressComposite = True  # each picture keeps its own pixels
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        self.axes.set_axis_off()

    def picture(self, x: float, y: float, pixels: UInt8[np.ndarray, "h w 3"], size: float = CELL) -> None:
        """A square picture whose upper left corner is at x, y."""
        self.axes.imshow(pixels, extent=(x, x + size, y + size, y), interpolation="none", aspect="auto")

    def text(
        self, x: float, y: float, words: str, *, colour: str = INK, bold: bool = False, size: float = 7.5
    ) -> None:
        """Words whose baseline is at y."""
        self.axes.text(
            x, y, words, color=colour, weight="bold" if bold else "normal", size=size, parse_math=False
        )

    def verdict(self, x: float, y: float, right: bool) -> None:
        """`right` or `wrong`."""
        self.text(x, y, "right" if right else "wrong", colour=GREEN if right else RED, bold=True)


def heat_over(photo: Photo, heat: Float[np.ndarray, "h w"], greatest: float, least: float = 0.0) -> Photo:
    """The photograph in grey under the heat, whose opacity grows with it; bilinear between the map's positions.

    Args:
        photo: of the eye.
        heat: its map.
        greatest: heat that is hottest, common to both eyes.
        least: heat that leaves the photograph as it is.
    """
    span = greatest - least
    level: Float32[np.ndarray, "h w"] = np.asarray(
        (heat - least) / span if span > 0 else np.zeros_like(heat), dtype=np.float32
    )
    large = np.asarray(Image.fromarray(level).resize(photo.shape[1::-1], Image.Resampling.BILINEAR)).clip(
        0, 1
    )[..., None]
    grey = np.repeat(
        np.asarray(Image.fromarray(photo).convert("L"), dtype=np.float32)[..., None] / 255, 3, axis=2
    )
    colour = matplotlib.colormaps["inferno"](large[..., 0])[..., :3]
    mixed = grey + STRONGEST * np.sqrt(large) * (colour - grey)
    return np.asarray(mixed * 255 + 0.5, dtype=np.uint8)


def _photo(data: bytes) -> Photo:
    picture = Image.open(io.BytesIO(data)).convert("RGB").resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def share_words(heat: Mapping[int, Float[np.ndarray, "h w"]]) -> dict[int, str]:
    """How much of the heat lies on each eye, in per cent; a dash where there is none at all."""
    total = sum(float(m.sum()) for m in heat.values())
    return {
        view: f"{100 * float(m.sum()) / total:.0f}%" if total > 0 else "no heat" for view, m in heat.items()
    }
