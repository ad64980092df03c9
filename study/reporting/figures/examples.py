"""Example eyes of each label: as photographed, after the correction of the light, and after CutMix.

Source: DMS-Net (Huo et al. 2025), figures 4 and 5.
Differs: each correction that the study tries has a row; the rows of what it does not try are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from matplotlib.figure import Figure

from study.evidence.run_tables import table_of_run
from study.reporting.figure import GREY, INK
from study.reporting.overlays import Canvas, Photo, photo_of
from study.reporting.results import label_titles
from study.reporting.run import Run

COLUMNS = 4  # labels beside each other
SIZE, GAP, BETWEEN = 0.7, 0.03, 0.1  # inches: a picture, to the other eye, to the next label
MARGIN, HEAD, LINE = 0.8, 0.36, 0.13  # inches: left of the pictures, above a block, from line to line
LETTERS_PER_INCH = 15
WORDS = {"raw": "photograph", "illumination": "light corrected", "cutmix": "CutMix"}
RECTANGLES = {
    "same_label": "another training sample with the same labels, whose labels stay",
    "standard": "any other training sample, with labels mixed by area",
}


@dataclass(frozen=True)
class _ExamplesData:
    """What is drawn.

    Attributes:
        titles: The labels in words.
        stages: The rows, a stage and its setting each.
        photos: Each view of a label at a stage, by label and row.
        num_labels: Number of labels that the data set has.
    """

    titles: list[str]
    stages: list[tuple[str, str]]
    photos: dict[tuple[int, int], list[Photo]]
    num_labels: int

    @property
    def num_views(self) -> int:
        """Number of images of a sample."""
        return max(map(len, self.photos.values()))


class Examples:
    """Blocks of four labels; in each, one row for each stage."""

    title = "Example eyes"
    section = "data"

    def data(self, run: Run) -> _ExamplesData | None:
        """None where the run keeps no pictures."""
        found = table_of_run(run.store, "examples")
        if found.empty:
            return None
        titles = dict(zip(run.labels, label_titles(run), strict=True))
        labels = list(dict.fromkeys(found["label"]))
        keys = list(zip(found["stage"], found["setting"], strict=True))
        stages = sorted(dict.fromkeys(keys), key=lambda key: list(WORDS).index(key[0]))
        photos = {
            (labels.index(label), stages.index(key)): list(map(photo_of, images))
            for label, key, images in zip(found["label"], keys, found["images"], strict=True)
        }
        return _ExamplesData([titles[label] for label in labels], stages, photos, len(run.labels))

    def draw(self, data: _ExamplesData) -> Figure:
        """The pictures, the eyes of a sample side by side."""
        group = data.num_views * (SIZE + GAP) + BETWEEN
        block = HEAD + len(data.stages) * (SIZE + GAP) + BETWEEN
        num_blocks = -(-len(data.titles) // COLUMNS)
        canvas = Canvas(MARGIN + min(COLUMNS, len(data.titles)) * group, num_blocks * block)
        for number in range(num_blocks):
            for row, stage in enumerate(data.stages):
                _draw_lines(canvas, _stage_lines(*stage), 0, number * block + HEAD + row * (SIZE + GAP) + 0.3)
        for place, title in enumerate(data.titles):
            x, y = MARGIN + place % COLUMNS * group, place // COLUMNS * block
            lines = wrap(title, int((group - BETWEEN) * LETTERS_PER_INCH))[:2]
            _draw_lines(canvas, lines, x, y + HEAD - 0.05 - LINE * (len(lines) - 1), bold=True)
            for row in range(len(data.stages)):
                for view, photo in enumerate(data.photos.get((place, row), ())):
                    canvas.picture(x + view * (SIZE + GAP), y + HEAD + row * (SIZE + GAP), photo, SIZE)
        return canvas.figure

    def caption(self, data: _ExamplesData) -> str:
        """Whose eyes they are, and what was done to them."""
        shown = len(data.titles)
        some = f" {shown} of {data.num_labels} labels are shown." if shown < data.num_labels else ""
        eyes = ", the left eye beside the right one" if data.num_views == 2 else ""
        mixed = next((setting for stage, setting in data.stages if stage == "cutmix"), "")
        cutmix = ""
        if mixed:
            cutmix = f" CutMix pastes a rectangle of {RECTANGLES[mixed]}; a training draws it anew each time."
        return (
            f"One sample of the training split for each label{eyes}, drawn among those with the fewest other "
            f"labels.{some} The networks see them at another resolution.{cutmix} Other augmentations are not "
            "shown."
        )


def _stage_lines(stage: str, setting: str) -> list[str]:
    return [*wrap(WORDS[stage], 12), *wrap(setting if stage == "illumination" else "", 12)]


def _draw_lines(canvas: Canvas, lines: Sequence[str], x: float, y: float, *, bold: bool = False) -> None:
    for place, line in enumerate(lines):
        canvas.text(x, y + place * LINE, line, bold=bold, size=7, colour=INK if bold else GREY)
