"""Reliability: does a score of 0.7 come true in 70 of 100 cases, and would one temperature mend it?

Source: DeGroot & Fienberg 1983 (diagram); Naeini et al. 2015 (error); Guo et al. 2017 (temperature).
Differs: nothing.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from study.evidence.statistics.calibration import Reliability as Diagram
from study.evidence.statistics.calibration import apply_temperature, events_of, fit_temperature, reliability
from study.reporting.figure import BLUE, GREY, ORANGE, PALE, sheet
from study.reporting.run import Run


@dataclass(frozen=True)
class _ReliabilityData:
    """What is drawn.

    Attributes:
        key: Key of the trial.
        plain: Diagram of the scores as they are.
        mended: Diagram of the scores after the temperature.
        temperature: The temperature that fits validation best.
    """

    key: str
    plain: Diagram
    mended: Diagram
    temperature: float


class Reliability:
    """Reliability diagram of the chosen trial on the test split."""

    title = "Reliability"
    section = "chosen"

    def data(self, run: Run) -> _ReliabilityData | None:
        """None where the chosen trial lacks predictions of validation or test."""
        val, test = run.chosen_predictions("val"), run.chosen_predictions()
        if val is None or test is None:
            return None
        temperature = fit_temperature(val.target, val.score, run.kind)
        mended = apply_temperature(test.score, temperature, run.kind)
        diagrams = [
            reliability(*events_of(test.target, score.astype(np.float64), run.kind))
            for score in (test.score, mended)
        ]
        return _ReliabilityData(test.trial, diagrams[0], diagrams[1], temperature)

    def draw(self, data: _ReliabilityData) -> Figure:
        """The diagonal is perfect; the bars below show where the scores lie."""
        figure = sheet(4.2, 4.4)
        upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        upper.plot([0, 1], [0, 1], color=PALE, linewidth=1)
        for diagram, colour, name in (
            (data.mended, ORANGE, "after the temperature"),
            (data.plain, BLUE, "as they are"),
        ):
            known = diagram.count > 0
            predicted, observed = diagram.predicted[known], diagram.observed[known]
            upper.plot(predicted, observed, color=colour, marker="o", markersize=3.5, label=name)
        upper.set(ylabel="share that came true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        figure.legend(*upper.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        edges = data.plain.edges
        lower.bar(edges[:-1], data.plain.count, width=np.diff(edges), align="edge", color=GREY)
        lower.set(xlabel="score (probability of a label)", ylabel="decisions", yscale="log")
        lower.set_ylim(0.8, None)
        lower.yaxis.set_major_locator(LogLocator(numticks=3))
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        lower.yaxis.set_minor_formatter(NullFormatter())
        return figure

    def caption(self, data: _ReliabilityData) -> str:
        """The trial, its calibration error, and the temperature."""
        return (
            f"Scores of {data.key} on the test split. Expected calibration error {data.plain.error:.3f}; "
            f"{data.mended.error:.3f} after dividing the logits by {data.temperature:.2f}, the temperature "
            f"that fits validation best. Perfect scores have up to {data.plain.floor:.3f} on so few samples."
        )
