"""The K curve: nearest neighbours on the chosen trial's embedding, validation and test against K.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, which reports K = 2, 4, 6, 8, 10.
Differs: every K, both distances and both votes; K is chosen on validation.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from study.reporting.figure import INK, PALETTE, sheet
from study.reporting.measures import full_name, short_name
from study.reporting.other_settings import FREE_NEIGHBOURS, split_setting
from study.reporting.run import Run


@dataclass(frozen=True, kw_only=True)
class _KCurveData:
    """What is drawn.

    Attributes:
        key: Key of the trial.
        measure: The measure by which the setting was chosen.
        rows: Validation `value` by number of neighbours `k` and `way`, the distance and the votes.
        chosen: The setting that validation chose.
        test: Test value of that setting.
    """

    key: str
    measure: str
    rows: pd.DataFrame
    chosen: str
    test: float


class Neighbours:
    """K curve."""

    title = "Number of neighbours"
    section = "chosen"

    def data(self, run: Run) -> _KCurveData | None:
        """None where the chosen trial has no scores of neighbours."""
        choice = (
            next((h for h in run.heads(run.best) if h.head == FREE_NEIGHBOURS), None) if run.best else None
        )
        if choice is None or run.best is None:
            return None
        wanted = {
            "head": FREE_NEIGHBOURS,
            "metric": run.head_measure,
            "label": "",
            "split": "val",
            "decision": run.decided_by(run.head_measure, "tuned"),
        }
        rows = run.store.read("scores", [run.best], filters=wanted)
        curve = pd.DataFrame([split_setting(setting) for setting in rows["setting"]], columns=["k", "way"])
        curve["value"] = rows["value"].to_numpy(float)
        curve = curve[curve["k"] > 0].sort_values(["way", "k"])
        if curve["k"].nunique() <= 1:
            return None
        return _KCurveData(
            key=run.best,
            measure=run.head_measure,
            rows=curve,
            chosen=choice.setting,
            test=run.score(run.best, run.head_measure, head=FREE_NEIGHBOURS),
        )

    def draw(self, data: _KCurveData) -> Figure:
        """One line for each way; the chosen setting is ringed, its test value is a diamond."""
        figure = sheet(height=2.8)
        axes = figure.subplots()
        k, way = split_setting(data.chosen)
        for colour, name in zip(PALETTE, sorted(data.rows["way"].unique()), strict=False):
            line = data.rows[data.rows["way"] == name]
            axes.plot(
                line["k"],
                line["value"],
                color=colour,
                label=name or FREE_NEIGHBOURS,
                marker="o",
                markersize=2,
            )
            chosen = line[(line["k"] == k) & (name == way)]
            ring: Any = {"s": 60, "facecolors": "none", "edgecolors": INK, "linewidths": 1.2, "zorder": 4}
            axes.scatter(chosen["k"], chosen["value"], **ring)
        axes.scatter([k], [data.test], marker="D", s=26, color=INK, zorder=4, label="test at the choice")
        axes.set(xlabel="K", ylabel=f"{short_name(data.measure)}, validation")
        figure.legend(loc="outside lower center", ncols=3)
        return figure

    def caption(self, data: _KCurveData) -> str:
        """The trial and how K was chosen."""
        measure = full_name(data.measure).capitalize()
        return (
            f"{measure} of nearest neighbours on the embedding of {data.key}, validation split. Ringed: the "
            f"choice ({data.chosen}); it has {data.test:.3f} on the test split, which was read for this "
            "choice only."
        )
