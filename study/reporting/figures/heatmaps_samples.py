"""Heat maps: which eye, and which region of it, speaks for a label, for several models side by side.

Source: Grad-CAM (Selvaraju et al. 2017); SVK_MA (Tan, Dong & Li 2023), figure 18, which shows one for each of its networks.
Differs: both eyes have one scale, and samples that the chosen trial has wrong stand beside those that it has right.
"""

from matplotlib.figure import Figure

from study.evidence.heatmap_tables import GRAD_CAM
from study.reporting.figure import GREEN, GREY, RED
from study.reporting.overlays import CELL, EYES, GAP, Paper, Shelf, heat_over, share_words, shelf_of
from study.reporting.run import Run

TOP, HEAD = 0.42, 0.34  # inches
ROW = HEAD + CELL + 0.32


class HeatMaps:
    """Grad-CAM of the label of interest, one row a sample, one pair of eyes a model."""

    title = "Where the models look"
    section = "heatmaps"

    def data(self, run: Run) -> Shelf | None:
        """None where no heat maps were made."""
        return shelf_of(run)

    def draw(self, data: Shelf) -> Figure:
        """The photographs, then each model's heat over them."""
        samples, trials = data.right_first(), data.maps.trials
        group = data.num_views * (CELL + GAP) + 0.14
        paper = Paper(max(group * (1 + len(trials)), 3.4), TOP + ROW * len(samples))
        for place, name in enumerate(["", *(data.names[trial] for trial in trials)]):
            paper.text(place * group, 0.14, name, bold=True, size=8.5)
            for view, eye in enumerate(EYES if data.num_views == 2 else ()):
                paper.text(place * group + view * (CELL + GAP), 0.32, eye, colour=GREY)
        for row, sample in enumerate(samples):
            y = TOP + row * ROW
            self._head(paper, data, sample, y)
            for view, photo in enumerate(data.photos(trials[0], sample)):
                paper.picture(view * (CELL + GAP), y + HEAD, photo)
            for place, trial in enumerate(trials, start=1):
                self._heat(paper, data, trial, sample, place * group, y)
        return paper.figure

    def caption(self, data: Shelf) -> str:
        """How to read it, and of what it warns."""
        pair = (
            "Both eyes of a sample have one scale; the share of their heat that lies on each stands below. "
            if data.num_views == 2
            else ""
        )
        return (
            "Grad-CAM of the named label on test samples: warm regions raise the network's evidence for it, grey ones do not. "
            f"{pair}Each model has its own scale. The number is the label's probability, green where the decision on it is right. "
            f"Random samples were drawn half among those that {data.maps.trials[0]} has right and half among those that it has wrong. "
            "The maps are as coarse as the network's last map, and show association, not cause."
        )

    def _head(self, paper: Paper, data: Shelf, sample: str, y: float) -> None:
        label = data.label(sample)
        paper.verdict(0, y + 0.12, data.is_right(data.maps.trials[0], sample))
        paper.text(0.42, y + 0.12, f"{sample}: {data.heading(sample)}")
        paper.text(
            0, y + 0.28, f"{label} {'present' if data.carries(sample, label) else 'absent'}", colour=GREY
        )

    def _heat(self, paper: Paper, data: Shelf, trial: str, sample: str, x: float, y: float) -> None:
        label = data.label(sample)
        heat = data.maps.of(trial, sample, GRAD_CAM, label)
        greatest = max(float(m.max()) for m in heat.values())
        colour = GREEN if data.is_right(trial, sample, label) else RED
        paper.text(x, y + 0.28, f"{label} {data.score(trial, sample, label):.2f}", bold=True, colour=colour)
        shares = share_words(heat)
        for view, photo in enumerate(data.photos(trial, sample)):
            at = x + view * (CELL + GAP)
            paper.picture(at, y + HEAD, heat_over(photo, heat[view], greatest))
            if data.num_views == 2:
                paper.text(at, y + HEAD + CELL + 0.13, shares[view], colour=GREY)
