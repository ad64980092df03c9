"""Heat maps: which eye, and which region of it, speaks for a label, for several models side by side.

Source: Grad-CAM (Selvaraju et al. 2017); SVK_MA (Tan, Dong & Li 2023), figure 18, shows one for each network.
Differs: both eyes have one scale, and samples that the chosen trial has wrong stand beside those that it has
right.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.figure import GREEN, GREY, RED
from study.reporting.overlays import (
    EYES,
    GAP,
    PHOTO_SIZE,
    Canvas,
    RunHeatMaps,
    heat_over,
    heatmaps_of,
    share_words,
)
from study.reporting.run import Run

STEP = PHOTO_SIZE + GAP  # from one eye to the next, in inches
HEADING_HEIGHT = 0.42  # above the first row
WORDS_HEIGHT = 0.48  # above the photographs of a row
ROW_HEIGHT = WORDS_HEIGHT + PHOTO_SIZE + 0.32
NAME_SIZE, INCHES_PER_LETTER = 8.5, 0.077  # of a model's name, in points, and of a letter of that size


class HeatMapsSamples:
    """Grad-CAM of one label: one row for each sample, one pair of eyes for each model."""

    title = "Where the models look"
    section = "heatmaps"

    def data(self, run: Run) -> RunHeatMaps | None:
        """None where no heat maps were made."""
        return heatmaps_of(run)

    def draw(self, data: RunHeatMaps) -> Figure:
        """The photographs, then each model's heat over them."""
        samples, trials = data.right_first(), data.maps.trials
        group = data.num_views * STEP + 0.14
        canvas = Canvas(max(group * (1 + len(trials)), 3.4), HEADING_HEIGHT + ROW_HEIGHT * len(samples))
        for place, name in enumerate(["", *(data.names[trial] for trial in trials)]):
            fitting = (group - GAP) / (INCHES_PER_LETTER * max(len(name), 1))
            canvas.text(place * group, 0.14, name, bold=True, size=NAME_SIZE * min(1, fitting))
            for view, eye in enumerate(EYES if data.num_views == 2 else ()):
                canvas.text(place * group + view * STEP, 0.32, eye, colour=GREY)
        for row, sample in enumerate(samples):
            y = HEADING_HEIGHT + row * ROW_HEIGHT
            _draw_words(canvas, data, sample, y)
            for view, photo in enumerate(data.photos(trials[0], sample)):
                canvas.picture(view * STEP, y + WORDS_HEIGHT, photo, PHOTO_SIZE)
            for place, trial in enumerate(trials, start=1):
                _draw_heat(canvas, data, trial, sample, place * group, y)
        return canvas.figure

    def caption(self, data: RunHeatMaps) -> str:
        """How to read it, and of what it warns."""
        pair = ""
        if data.num_views == 2:
            pair = "Both eyes of a sample have one scale; the share of the heat on each stands below it. "
        how = data.decided and f" {data.decided}"
        return (
            "Grad-CAM of the named label on test samples: warm regions raise the network's evidence for "
            f"it, grey ones do not. {pair}Each model has its own scale. The number is the label's "
            f"probability, green where the decision on it{how} is right. Random samples were drawn half "
            f"among those that {data.maps.trials[0]} has right and half among those that it has wrong. The "
            "maps are as coarse as the network's last map, and show association, not cause."
        )


def _draw_words(canvas: Canvas, heatmaps: RunHeatMaps, sample: str, y: float) -> None:
    """What the sample is, and whether the reference trial has it right."""
    label = heatmaps.label(sample)
    canvas.verdict(0, y + 0.12, right=heatmaps.is_right(heatmaps.maps.trials[0], sample))
    canvas.text(0.42, y + 0.12, f"{sample}: {heatmaps.heading(sample)}")
    presence = "present" if heatmaps.carries(sample, label) else "absent"
    canvas.text(0, y + 0.27, f"maps of {label}, which is {presence}", colour=GREY)


def _draw_heat(canvas: Canvas, heatmaps: RunHeatMaps, trial: str, sample: str, x: float, y: float) -> None:
    """A model's heat over both eyes of the sample."""
    label = heatmaps.label(sample)
    heat = heatmaps.maps.of(trial, sample, GRAD_CAM, label)
    greatest = max(float(m.max()) for m in heat.values())
    colour = GREEN if heatmaps.is_right(trial, sample, label) else RED
    canvas.text(x, y + 0.43, f"{heatmaps.score(trial, sample, label):.2f}", bold=True, colour=colour)
    shares = share_words(heat)
    for view, photo in enumerate(heatmaps.photos(trial, sample)):
        left = x + view * STEP
        canvas.picture(left, y + WORDS_HEIGHT, heat_over(photo, heat[view], greatest), PHOTO_SIZE)
        if heatmaps.num_views == 2:
            canvas.text(left, y + WORDS_HEIGHT + PHOTO_SIZE + 0.13, shares[view], colour=GREY)
