"""The K curve: nearest neighbours on the chosen trial's embedding, validation and test against K.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, which reports K = 2, 4, 6, 8, 10.
Differs: every K, both distances and both votes; K is chosen on validation.
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from study.reporting.figure import INK, PALETTE, sheet
from study.reporting.measures import long, short
from study.reporting.other_settings import split_setting
from study.reporting.run import Run

HEAD = "knn"


@dataclass(frozen=True)
class _KCurveData:
    """Rows of K, way (distance and vote) and validation value; the chosen setting and its test value."""

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
        choice = next((h for h in run.heads(run.best) if h.head == HEAD), None) if run.best else None
        if choice is None or run.best is None:
            return None
        wanted = {
            "head": HEAD,
            "metric": run.objective,
            "label": "",
            "split": "val",
            "decision": run.decided_by(run.objective, "half"),
        }
        rows = run.store.read("scores", [run.best], filters=wanted)
        parts = [split_setting(s) for s in rows["setting"]]
        curve = pd.DataFrame(
            {"k": [k for k, _ in parts], "way": [w for _, w in parts], "value": rows["value"].astype(float)}
        )
        curve = curve[curve["k"] > 0].sort_values(["way", "k"])
        test = run.score(run.best, run.objective, head=HEAD)
        return (
            _KCurveData(run.best, run.objective, curve, choice.setting, test)
            if curve["k"].nunique() > 1
            else None
        )

    def draw(self, data: _KCurveData) -> Figure:
        """One line a way; the chosen setting is ringed, its test value is a diamond."""
        figure = sheet(height=2.8)
        axes = figure.subplots()
        k, way = split_setting(data.chosen)
        for colour, name in zip(PALETTE, sorted(data.rows["way"].unique()), strict=False):
            line = data.rows[data.rows["way"] == name]
            axes.plot(line["k"], line["value"], color=colour, label=name or HEAD, marker="o", markersize=2)
            ring = line[(line["k"] == k) & (name == way)]
            axes.scatter(
                ring["k"], ring["value"], s=60, facecolors="none", edgecolors=INK, linewidths=1.2, zorder=4
            )
        axes.scatter([k], [data.test], marker="D", s=26, color=INK, zorder=4, label="test at the choice")
        axes.set(xlabel="K", ylabel=f"{short(data.measure)}, validation")
        figure.legend(loc="outside lower center", ncols=3)
        return figure

    def caption(self, data: _KCurveData) -> str:
        """The trial and how K was chosen."""
        measure = long(data.measure).capitalize()
        return (
            f"{measure} of nearest neighbours on the embedding of {data.key}, validation split. "
            f"Ringed: the choice ({data.chosen}); on the test split, looked at for this choice only, it has {data.test:.3f}."
        )
