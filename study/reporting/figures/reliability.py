"""Reliability: does a score of 0.7 come true in 70 of 100 cases?

Source: DeGroot & Fienberg 1983, The Statistician 32, reliability diagrams.
Differs: bins hold equal numbers of scores, so a rare label does not leave bins empty; all labels are pooled.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from study.reporting.figure import BLUE, GREY, PALE, sheet
from study.reporting.run import Run

NUM_BINS = 10


@dataclass(frozen=True)
class _ReliabilityData:
    """Mean score, share that came true and number of scores of each bin, and the scores themselves."""

    key: str
    score: np.ndarray
    share: np.ndarray
    count: np.ndarray
    scores: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: Σ count |share - score| / Σ count."""
        return float(np.average(np.abs(self.share - self.score), weights=self.count))


class Reliability:
    """Reliability diagram of the chosen trial on the test split."""

    title = "Reliability"
    section = "chosen"

    def data(self, run: Run) -> _ReliabilityData | None:
        """None where the chosen trial has no test predictions."""
        found = run.predictions(run.best) if run.best else None
        if found is None or run.best is None:
            return None
        score, target = found.score.ravel().astype(float), found.target.ravel()
        order = np.argsort(score, kind="stable")
        parts = [part for part in np.array_split(order, NUM_BINS) if len(part)]
        means = [(score[p].mean(), target[p].mean(), len(p)) for p in parts]
        bins = np.array(means).T
        return _ReliabilityData(run.best, bins[0], bins[1], bins[2], score)

    def draw(self, data: _ReliabilityData) -> Figure:
        """The diagonal is perfect; the bars below show where the scores lie."""
        figure = sheet(3.4, 4.0)
        upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        upper.plot([0, 1], [0, 1], color=PALE, linewidth=1)
        upper.plot(data.score, data.share, color=BLUE, marker="o", markersize=4)
        upper.set(ylabel="share that came true", xlim=(0, 1), ylim=(0, 1))
        lower.hist(data.scores, bins=np.linspace(0, 1, 21), color=GREY)
        lower.set(xlabel="score", ylabel="decisions", yscale="log")
        return figure

    def caption(self, data: _ReliabilityData) -> str:
        """The trial and its calibration error."""
        return (
            f"Scores of {data.key} on the test split, all labels pooled, in {len(data.score)} bins of equal size; "
            f"expected calibration error {data.error:.3f}."
        )
