"""The patients and samples of each split, and how often each label is carried.

Source: the project's own.
Differs: nothing.
"""

import math
from collections.abc import Mapping
from typing import Any

from study.reporting.run import Run
from study.reporting.table import Cell, Column, Row, Table, Text, Value, count

SPLIT_NAMES = {"train": "Training", "val": "Validation", "test": "Test"}
Counts = Mapping[str, Mapping[str, int]]  # of each split: patients, samples and carriers of each label


class Split:
    """Patients, samples and labels of each split, with their shares."""

    section = "data"

    def build(self, run: Run) -> Table | None:
        """The table; None where the study's row has no counts."""
        stored: Counts = run.study["split_counts"]
        if not stored:
            return None
        counts = {split: stored[split] for split in (*SPLIT_NAMES, *stored) if split in stored}
        columns = [Column("what", "", words=True)]
        for split in counts:
            columns.append(Column(split, SPLIT_NAMES.get(split, split)))
            columns.append(Column(f"{split}_share", "%", help="Share of the split's samples"))
        rows = [_row(counts, "patients", "Patients"), _row(counts, "samples", "Samples")]
        rows += [_row(counts, label, f"Label {label}", share=True) for label in run.labels]
        skipped: Mapping[str, list[str]] = run.study["skipped"]
        remarks = [f"Left out, {reason}: {len(samples)}." for reason, samples in skipped.items() if samples]
        remarks += map(_generated, run.study["generated"])
        return Table(
            name="split",
            title="Patients and labels in each split",
            columns=tuple(columns),
            rows=tuple(rows),
            caption="Every patient is in one split only.",
            remarks=tuple(remarks),
            synthetic=run.synthetic,
        )


def _row(counts: Counts, key: str, title: str, *, share: bool = False) -> Row:
    """The counts of all splits, and their shares where asked for."""
    cells: list[Cell] = [Text(title)]
    for of_split in counts.values():
        number = of_split.get(key, math.nan)
        total = of_split.get("samples", math.nan)
        cells.append(count(number))
        cells.append(Value(value=100 * number / total, digits=1) if share and total else Text(""))
    return Row(key, tuple(cells))


def _generated(made: Mapping[str, Any]) -> str:
    """The samples that were generated for the training of some trials, in words."""
    images = " and ".join(f"{n} of {label}" for label, n in made["counts"].items())
    place = "in place of" if made["share"] == 1 else "beside"
    how = f"{made['generator']}, {made['epochs']} epochs, share {made['share']:g}"
    return f"Generated for the training of some trials, {place} the real samples: {images} ({how})."
