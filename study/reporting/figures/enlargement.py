"""How many training samples carry each label, before and after CutMix, generated images and balanced batches.

Source: DMS-Net (Huo et al. 2025), figure 3.
Differs: the paper enlarges its data set once, beforehand. Here CutMix and balanced batches act anew in each
epoch, so that what one epoch is expected to draw stands for the enlarged set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.evidence.predictions import UNKNOWN
from study.evidence.run_tables import table_of_run
from study.reporting.figure import BLUE, GREEN, GREY, ORANGE, WIDTH, sheet
from study.reporting.results import label_titles
from study.reporting.row_trials import variants_by_group
from study.reporting.run import Run

Numbers = Float[np.ndarray, " l"]
Settings = Mapping[str, Any]
BAR = 0.38  # height of a bar; the distance between two labels is 1


@dataclass(frozen=True, kw_only=True)
class _Enlargement:
    """Number of samples with each label, by a trial's settings.

    Attributes:
        trial: Key of the trial.
        before: In the training split.
        whole: Photographs without a rectangle that an epoch is expected to draw.
        mixed: Photographs with a rectangle of another sample.
        generated: Generated images, with a rectangle or without.
        words: What the trial does, a sentence each.
    """

    trial: str
    before: Numbers
    whole: Numbers
    mixed: Numbers
    generated: Numbers
    words: tuple[str, ...]


@dataclass(frozen=True)
class _EnlargementData:
    """What is drawn.

    Attributes:
        titles: The labels in words.
        panels: The chosen trial and the first variant of an ablation, where they do anything.
    """

    titles: tuple[str, ...]
    panels: list[_Enlargement]


class Enlargement:
    """Two bars for each label: the training split, and an epoch."""

    title = "Training samples by label, before and after enlargement"
    section = "data"

    def data(self, run: Run) -> _EnlargementData | None:
        """None where the samples' labels are not kept, or a training draws every photograph once as it is."""
        samples = table_of_run(run.store, "samples")
        train = samples["target"][samples["split"] == "train"]
        if train.empty or run.best is None:
            return None
        target = np.array([[UNKNOWN if np.isnan(t) else t for t in row] for row in train], dtype=np.int8)
        variants = list(variants_by_group(run)[1].values())
        trials = dict.fromkeys([run.best, *(keys[0] for keys in variants[:1])])
        panels: dict[bytes, _Enlargement] = {}
        for panel in (_enlargement(run, trial, target) for trial in trials):
            if panel.words:
                panels.setdefault(np.stack([panel.whole, panel.mixed, panel.generated]).tobytes(), panel)
        return _EnlargementData(label_titles(run), list(panels.values())) if panels else None

    def draw(self, data: _EnlargementData) -> Figure:
        """Horizontal bars, those of a trial in one panel."""
        figure = sheet(WIDTH, 1.1 + 0.36 * len(data.titles))
        grid = figure.subplots(1, len(data.panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, data.panels, strict=True):
            _draw_panel(axes, panel)
        grid[0].set_yticks(np.arange(len(data.titles)), data.titles)
        grid[0].invert_yaxis()
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure

    def caption(self, data: _EnlargementData) -> str:
        """What the second bar counts, and by what settings."""
        trials = " ".join(f"{panel.trial}: {' '.join(panel.words)}" for panel in data.panels)
        return (
            "Number of samples of the training split that carry each label (upper bar), and number that one "
            f"epoch is expected to draw (lower bar). {trials}"
        )


def _enlargement(run: Run, trial: str, target: Int8[np.ndarray, "n l"]) -> _Enlargement:
    spec: Settings = run.of_trial(trial, "spec")
    cutmix, sampling = spec["data"]["augmentation"]["cutmix"], spec["training"]["sampling"]
    samples, made = _with_generated(run, spec["data"]["generated"], target)
    draws, chance = _draws(samples, sampling), _chance(samples, cutmix)
    carried = (samples > 0) * draws[:, None]
    num_mixed = float(draws @ chance) * int(run.of_trial(trial, "num_epochs"))
    words = {
        _cutmix_words(cutmix, num_mixed): cutmix["kind"] != "none",
        "Generators have made images before the training.": bool(made.any()),
        "Batches hold as many samples of each label.": sampling == "class_balanced",
    }
    return _Enlargement(
        trial=trial,
        before=(target > 0).sum(axis=0).astype(float),
        whole=((1 - chance) * ~made) @ carried,
        mixed=(chance * ~made) @ carried,
        generated=made.astype(float) @ carried,
        words=tuple(sentence for sentence, is_true in words.items() if is_true),
    )


def _with_generated(
    run: Run, setting: Settings | None, target: Int8[np.ndarray, "n l"]
) -> tuple[Int8[np.ndarray, "m l"], Bool[np.ndarray, " m"]]:
    """The labels of the samples that a trial is trained on, and which of them are generated."""
    if setting is None:
        return target, np.zeros(len(target), dtype=bool)
    counts = next(made["counts"] for made in run.study["generated"] if made["share"] == setting["share"])
    numbers = [counts[label] for label in run.labels]
    made = np.repeat(np.eye(len(numbers), dtype=np.int8), numbers, axis=0)
    kept = target[:0] if setting["share"] == 1 else target  # by itself, or beside the real samples
    return np.concatenate([kept, made]), np.arange(len(kept) + len(made)) >= len(kept)


def _draws(samples: Int8[np.ndarray, "n l"], sampling: str) -> Float[np.ndarray, " n"]:
    """How often an epoch is expected to draw each sample; on average it draws each once."""
    if sampling != "class_balanced":
        return np.ones(len(samples))
    _, place, size = np.unique(samples.argmax(axis=1), return_inverse=True, return_counts=True)
    return np.asarray(len(samples) / len(size) / size[place])


def _chance(samples: Int8[np.ndarray, "n l"], cutmix: Settings) -> Float[np.ndarray, " n"]:
    """The chance of each sample to get a rectangle; without a partner it gets none.

    CutMix between any labels leaves the expected sum of each label as it is, since it gives and takes alike.
    """
    if cutmix["kind"] == "none":
        return np.zeros(len(samples))
    groups = samples if cutmix["kind"] == "same_label" else samples[:, :0]
    _, place, size = np.unique(groups, axis=0, return_inverse=True, return_counts=True)
    return np.where(size[place.reshape(-1)] > 1, float(cutmix["probability"]), 0.0)


def _cutmix_words(cutmix: Settings, num_mixed: float) -> str:
    labels = "equal labels" if cutmix["kind"] == "same_label" else "any labels, which are mixed by area,"
    return (
        f"CutMix pastes a rectangle of another sample with {labels} into {cutmix['probability']:.0%} of the "
        f"samples that have a partner, anew in each epoch: in all epochs about {num_mixed:,.0f} samples."
    )


def _draw_panel(axes: Axes, panel: _Enlargement) -> None:
    axes.set_title(panel.trial)
    place = np.arange(len(panel.before))
    axes.barh(place - BAR / 2, panel.before, height=BAR, color=GREY, label="training split")
    left = np.zeros(len(place))
    for width, colour, label in (
        (panel.whole, BLUE, "whole photographs"),
        (panel.mixed, ORANGE, "photographs with CutMix"),
        (panel.generated, GREEN, "generated images"),
    ):
        if width.any():
            axes.barh(place + BAR / 2, width, left=left, height=BAR, color=colour, label=label)
        left += width
    look: Any = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "size": 7}
    for numbers, shift in ((panel.before, -BAR / 2), (left, BAR / 2)):
        for y, number in enumerate(numbers):
            axes.annotate(f"{number:,.0f}", (number, y + shift), **look)
    axes.set_xlim(0, 1.15 * max(panel.before.max(), left.max()))
    axes.tick_params(axis="y", length=0)
