"""Any table of pairs or single images: a CSV, Parquet or Excel file with columns of image paths and labels.

Source: this project.
Differs: nothing.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int8

from study.data.images import ImageFolder
from study.data.pairs import LabelKind, Pairs, fingerprint, one_hot, pairs_table
from study.data.sheets import HEADER_ROWS, binary_targets, numbers, read_sheet, texts
from study.spec.errors import DataError, suggest


class Table:
    """A sheet, `root`, with one sample a row.

    Args:
        root: The file.
        left: Column of the path of the left eye's image, or of the only image; an empty cell is a missing eye.
        right: Column of the right eye's path; None for single images.
        labels: Label columns with 0, 1 or nothing (unknown). Empty for a table without labels, to predict.
        label_column: One column that holds the name of the row's label instead; `labels` then lists the names (in rising order for grades).
        patient: Column of the patient; None where each row is a patient, named by its row number in the sheet.
        age: Column of the age in years.
        sex: Column of the sex.
        kind: `multilabel`, or one label a sample: `classes`, or ordered `grades`.
        image_folder: Where the paths start, by default the table's folder; no path may lead out of it.
    """

    def __init__(
        self,
        root: Path,
        *,
        left: str = "left",
        right: str | None = "right",
        labels: list[str],
        label_column: str | None = None,
        patient: str | None = None,
        age: str | None = None,
        sex: str | None = None,
        kind: LabelKind = "multilabel",
        image_folder: str | None = None,
    ) -> None:
        self.root = root
        self.views = [left] if right is None else [left, right]
        self.labels, self.label_column, self.kind = tuple(labels), label_column, kind
        self.patient, self.age, self.sex = patient, age, sex
        self.folder = root.parent / (image_folder or "")

    def read(self) -> Pairs:
        """Reads the sheet; opens no image. Labels of single images are also those of their view; of pairs, views are unknown.

        Raises:
            DataError: a column is missing, a label is not 0 or 1 or has no known name, a path leads out of the folder.
        """
        label_columns = self.labels if self.label_column is None else (self.label_column,)
        optional = [c for c in (self.patient, self.age, self.sex) if c is not None]
        text = [
            *self.views,
            *([self.patient] if self.patient else []),
            *([self.label_column] if self.label_column else []),
        ]
        frame = read_sheet(self.root, [*self.views, *label_columns, *optional], text)
        targets = self._targets(frame)
        view_targets = np.full((len(frame), len(self.views), len(self.labels)), -1, dtype=np.int8)
        if len(self.views) == 1:
            view_targets[:, 0] = targets
        patients, samples = self._names(frame)
        left, *others = [
            [self._key(path, row) for row, path in enumerate(texts(frame, column))] for column in self.views
        ]
        right: list[str | None] = others[0] if others else [None for _ in left]
        ages = numbers(frame, self.age) if self.age else None
        return Pairs(
            dataset="table",
            labels=self.labels,
            kind=self.kind,
            num_views=2 if others else 1,
            table=pairs_table(
                samples, patients, left, right, ages, texts(frame, self.sex) if self.sex else None
            ),
            targets=targets,
            view_targets=view_targets,
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(self.folder, left + right, targets, *samples),
            load=ImageFolder(str(self.folder)),
        )

    def _targets(self, frame: pd.DataFrame) -> Int8[np.ndarray, "n l"]:
        if self.label_column is None:
            return binary_targets(frame, self.labels, self.root)
        names = texts(frame, self.label_column)
        for row, name in enumerate(names):
            if name and name not in self.labels:
                raise DataError(
                    f"`{self.root}` row {row + HEADER_ROWS}, column `{self.label_column}`: must be one of the labels, "
                    f"got {name!r}. {suggest(name, self.labels)}"
                )
        return one_hot(
            np.array([self.labels.index(name) if name else -1 for name in names]), len(self.labels)
        )

    def _names(self, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Patients and samples; a patient's samples are told apart by a running number where there are several."""
        if self.patient is None:
            rows = [str(row + HEADER_ROWS) for row in range(len(frame))]
            return rows, rows
        patients = pd.Series(texts(frame, self.patient))
        if not patients.duplicated().any():
            return patients.tolist(), patients.tolist()
        number = patients.groupby(patients).cumcount() + 1
        return patients.tolist(), [f"{p}-{n}" for p, n in zip(patients, number, strict=True)]

    def _key(self, path: str, row: int) -> str | None:
        if not path:
            return None
        folder, image = (Path(os.path.normpath(p.absolute())) for p in (self.folder, self.folder / path))
        if not image.is_relative_to(folder):
            raise DataError(
                f"`{self.root}` row {row + HEADER_ROWS}: a path must stay within `{self.folder}`, got {path!r}. "
                "Move the image there, or set `image_folder`."
            )
        return image.relative_to(folder).as_posix()
