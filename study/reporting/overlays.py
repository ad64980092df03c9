"""What the heat map figures share: photographs with heat over them, placed by hand in inches."""

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
from study.reporting.deciding import threshold_words
from study.reporting.figure import GREEN, INK, RED
from study.reporting.run import Run

EYES = ("left eye", "right eye")
FIGURES = (  # the heat map figures, in the order of showing
    "heatmaps_samples",
    "heatmaps_attention",
    "heatmaps_check",
    "heatmaps_labels",
    "heatmaps_randomised",
)
PHOTO_SIZE, GAP = 0.8, 0.04  # inches
PHOTO_PX = 112
MAX_OPACITY = 0.8  # of the hottest place, so that the photograph still shows there

Photo = UInt8[np.ndarray, "px px 3"]


@dataclass(frozen=True, eq=False)
class RunHeatMaps:
    """The heat maps of a run, and what is said of each sample.

    Attributes:
        maps: The heat maps as stored.
        labels: Labels of the run, in the order of targets and scores.
        names: What each trial is called in a heading, by key.
        decided: At which thresholds labels are decided; empty for classes and grades.
    """

    maps: HeatMaps
    labels: tuple[str, ...]
    names: Mapping[str, str]
    decided: str

    def photos(self, trial: str, sample: str) -> list[Photo]:
        """The eyes as the trial's network saw them."""
        return [photo_of(data) for data in self._row(trial, sample)["images"]]

    def label(self, sample: str) -> str:
        """The label that the maps of the sample are about."""
        return str(self._row(self.maps.trials[0], sample)["label"])

    def score(self, trial: str, sample: str, label: str) -> float:
        """The probability that the trial gives the label."""
        return float(self._row(trial, sample)["score"][self.labels.index(label)])

    def carries(self, sample: str, label: str) -> bool:
        """Whether the sample carries the label."""
        return bool(self._row(self.maps.trials[0], sample)["target"][self.labels.index(label)] > 0)

    @property
    def num_views(self) -> int:
        """Number of images of a sample: 2 for pairs, 1 for single images."""
        return len(self.maps.samples["images"].iloc[0])

    def is_right(self, trial: str, sample: str, label: str | None = None) -> bool:
        """Whether the trial decides the label rightly; without a label, all of them."""
        row = self._row(trial, sample)
        same = (np.asarray(row["target"]) > 0) == np.asarray(row["decided"])
        return bool(same.all() if label is None else same[self.labels.index(label)])

    def right_first(self) -> list[str]:
        """The samples, those that the reference trial has right before the wrong ones."""
        return sorted(self.maps.cases, key=lambda sample: not self.is_right(self.maps.trials[0], sample))

    def heading(self, sample: str, trial: str | None = None) -> str:
        """What the sample carries, and what a trial decides where that differs.

        Args:
            sample: Name of the sample.
            trial: Key of the trial; the reference trial if left out.
        """
        row = self._row(trial or self.maps.trials[0], sample)
        true, decided = (
            ", ".join(np.array(self.labels)[np.asarray(row[key]) > 0]) or "nothing"
            for key in ("target", "decided")
        )
        return f"is {true}" if true == decided else f"is {true}, called {decided}"

    def _row(self, trial: str, sample: str) -> Mapping[Hashable, Any]:
        return self._rows[trial, sample]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], Mapping[Hashable, Any]]:
        return {(str(row["trial"]), str(row["sample"])): row for row in self.maps.samples.to_dict("records")}


def heatmaps_of(run: Run) -> RunHeatMaps | None:
    """The run's heat maps; None where none were made, or their trials are no longer in the run."""
    found = read_heatmaps(run.store)
    if found is None or not set(found.trials) <= set(run.trials.index):
        return None
    names = {key: str(run.of_trial(key, "variant") or key) for key in found.trials}
    return RunHeatMaps(found, run.labels, names, threshold_words(run))


class Canvas:
    """A figure with pictures and words at places in inches, counted from the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height))
        self.figure.suppressComposite = True  # each picture keeps its own pixels
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        self.axes.set_axis_off()

    def picture(self, x: float, y: float, pixels: UInt8[np.ndarray, "h w 3"], size: float) -> None:
        """A square picture whose upper left corner is at x, y."""
        self.axes.imshow(pixels, extent=(x, x + size, y + size, y), interpolation="none", aspect="auto")

    def text(
        self, x: float, y: float, words: str, *, colour: str = INK, bold: bool = False, size: float = 7.5
    ) -> None:
        """Words whose baseline is at y."""
        weight = "bold" if bold else "normal"
        self.axes.text(x, y, words, color=colour, weight=weight, size=size, parse_math=False)

    def verdict(self, x: float, y: float, *, right: bool) -> None:
        """`right` or `wrong`."""
        self.text(x, y, "right" if right else "wrong", colour=GREEN if right else RED, bold=True)


def heat_over(photo: Photo, heat: Float[np.ndarray, "h w"], greatest: float, least: float = 0.0) -> Photo:
    """The photograph in grey under the heat, whose opacity grows with it.

    Args:
        photo: Photograph of the eye.
        heat: The eye's map; between its positions the heat is bilinear.
        greatest: Heat of the hottest colour, common to both eyes.
        least: Heat that leaves the photograph as it is.
    """
    span = greatest - least
    scaled = (heat - least) / span if span > 0 else np.zeros_like(heat)
    level: Float32[np.ndarray, "h w"] = np.asarray(scaled, dtype=np.float32)
    large = np.asarray(Image.fromarray(level).resize(photo.shape[1::-1], Image.Resampling.BILINEAR))
    large = large.clip(0, 1)[..., None]
    plane = np.asarray(Image.fromarray(photo).convert("L"), dtype=np.float32) / 255
    grey = np.repeat(plane[..., None], 3, axis=2)
    colour = matplotlib.colormaps["inferno"](large[..., 0])[..., :3]
    mixed = grey + MAX_OPACITY * np.sqrt(large) * (colour - grey)
    return np.asarray(mixed * 255 + 0.5, dtype=np.uint8)


def photo_of(data: bytes) -> Photo:
    """A stored picture at the size of a figure."""
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(photo.resize((PHOTO_PX, PHOTO_PX), Image.Resampling.BICUBIC))


def share_words(heat: Mapping[int, Float[np.ndarray, "h w"]]) -> dict[int, str]:
    """The share of the heat that lies on each eye, in per cent; `no heat` where there is none at all."""
    total = sum(float(m.sum()) for m in heat.values())
    if not total > 0:
        return dict.fromkeys(heat, "no heat")
    return {view: f"{100 * float(m.sum()) / total:.0f}%" for view, m in heat.items()}
