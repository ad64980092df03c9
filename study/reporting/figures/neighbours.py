"""The K curve: nearest neighbours on the chosen trial's embedding, validation and test against K.

Source: Tan, Dong & Li 2023, BMC Medical Imaging 23:89, which reports K = 2, 4, 6, 8, 10.
Differs: every K, both distances and both votes; K is chosen on validation.
"""

import re
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from study.reporting.figure import PALETTE, sheet
from study.reporting.measures import long, short
from study.reporting.run import Run

HEAD = "knn"


@dataclass(frozen=True)
class _KCurveData:
    """Rows of K, way (distance and vote), split and value; and the chosen setting."""

    key: str
    measure: str
    rows: pd.DataFrame
    chosen: str


class Neighbours:
    """K curve."""

    title = "Number of neighbours"
    section = "chosen"

    def data(self, run: Run) -> _KCurveData | None:
        """None where the chosen trial has no scores of neighbours."""
        if run.best is None:
            return None
        wanted = {"head": HEAD, "metric": run.objective, "label": "", "decision": run.decided_by(run.objective, "half")}
        rows = run.store.read("scores", [run.best], filters=wanted)
        if rows.empty:
            return None
        parts = [split_setting(s) for s in rows["setting"]]
        curve = pd.DataFrame(
            {"k": [k for k, _ in parts], "way": [w for _, w in parts], "split": rows["split"], "value": rows["value"].astype(float)}
        )
        curve = curve[curve["k"] > 0].drop_duplicates(["k", "way", "split"]).sort_values(["way", "k"])
        chosen = next((h.setting for h in run.heads(run.best) if h.head == HEAD), "")
        return _KCurveData(run.best, run.objective, curve, chosen) if curve["k"].nunique() > 1 else None

    def draw(self, data: _KCurveData) -> Figure:
        """One panel a split, one line a way; the chosen setting is ringed."""
        figure = sheet(height=2.8)
        panels = figure.subplots(1, 2, sharey=True)
        ways = sorted(data.rows["way"].unique())
        k, way = split_setting(data.chosen)
        for axes, split, title in zip(panels, ("val", "test"), ("Validation", "Test"), strict=True):
            part = data.rows[data.rows["split"] == split]
            for colour, name in zip(PALETTE, ways, strict=False):
                line = part[part["way"] == name]
                axes.plot(line["k"], line["value"], color=colour, label=name or HEAD, marker="o", markersize=2)
            ring = part[(part["k"] == k) & (part["way"] == way)]
            axes.scatter(ring["k"], ring["value"], s=60, facecolors="none", edgecolors="#222222", linewidths=1.2, zorder=4)
            axes.set(title=title, xlabel="K")
        panels[0].set_ylabel(short(data.measure))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(ways)))
        return figure

    def caption(self, data: _KCurveData) -> str:
        """The trial and how K was chosen."""
        measure = long(data.measure).capitalize()
        return f"{measure} of nearest neighbours on the embedding of {data.key}; ringed: chosen on validation ({data.chosen})."


def split_setting(setting: str) -> tuple[int, str]:
    """`k=5, cosine, uniform` as (5, "cosine, uniform"); K is 0 where there is none."""
    found = re.match(r"k\s*=\s*(\d+)\s*,?\s*", setting)
    return (int(found[1]), setting[found.end() :]) if found else (0, setting)
