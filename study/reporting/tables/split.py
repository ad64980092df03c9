"""Who is in which split, and how often each label is carried.

Source: the project's own.
Differs: nothing.
"""

import math
from collections.abc import Mapping
from typing import Any

from study.reporting.run import Run
from study.reporting.table import Cell, Column, Row, Table, Text, Value

NAMES = {"train": "Training", "val": "Validation", "test": "Test"}


class Split:
    """Patients, samples and labels of each split, with their shares."""

    section = "data"

    def build(self, run: Run) -> Table | None:
        """The table; None where the study's row has no counts."""
        counts: dict[str, dict[str, int]] = run.study["split_counts"]
        splits = [s for s in (*NAMES, *counts) if s in counts]
        splits = list(dict.fromkeys(splits))
        if not splits:
            return None
        columns = [Column("what", "", words=True)]
        for split in splits:
            columns += [
                Column(split, NAMES.get(split, split)),
                Column(f"{split}_share", "%", help="Share of the split's samples"),
            ]
        rows = [
            self._row("patients", "Patients", counts, splits),
            self._row("samples", "Samples", counts, splits),
        ]
        rows += [self._row(label, f"Label {label}", counts, splits, share=True) for label in run.labels]
        skipped: dict[str, list[str]] = run.study["skipped"]
        remarks = tuple(
            f"Left out, {reason}: {len(samples)}." for reason, samples in skipped.items() if samples
        )
        remarks += tuple(_generated(made) for made in run.study["generated"])
        title, caption = "Patients and labels in each split", "Every patient is in one split only."
        return Table("split", title, tuple(columns), tuple(rows), caption, remarks, run.synthetic)

    def _row(
        self,
        key: str,
        title: str,
        counts: dict[str, dict[str, int]],
        splits: list[str],
        *,
        share: bool = False,
    ) -> Row:
        cells: list[Cell] = [Text(title)]
        for split in splits:
            count = float(counts[split].get(key, math.nan))
            total = float(counts[split].get("samples", math.nan))
            cells.append(Value(count, digits=0))
            cells.append(Value(100 * count / total, digits=1) if share and total else Text(""))
        return Row(key, tuple(cells))


def _generated(made: Mapping[str, Any]) -> str:
    """What was generated for the training of some trials, in words."""
    images = " and ".join(f"{n} of {label}" for label, n in made["counts"].items())
    place = "in place of" if made["share"] == 1 else "beside"
    how = f"{made['generator']}, {made['epochs']} epochs, share {made['share']:g}"
    return f"Generated for the training of some trials, {place} the real samples: {images} ({how})."
