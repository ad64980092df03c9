"""Any table of pairs or single images: a CSV, Parquet or Excel file with columns of image paths and labels.

Source: this project.
Differs: nothing.
"""

import os
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd
from jaxtyping import Int8

from study.data.file_names import ImageNames, with_slashes
from study.data.images import ImageFolder
from study.data.pairs import Pairs, fingerprint, one_hot, pairs_table
from study.data.sheets import NOTHING, ages, binary_targets, read_sheet, row_numbers, texts
from study.spec.errors import DataError, suggest
from study.spec.task import LabelKind


class Table:
    """A sheet, `root`, with one sample a row.

    Args:
        root: The file.
        left: Column of the path of the left eye's image, or of the only image; an empty cell is a missing
            eye.
        right: Column of the right eye's path; None for single images.
        labels: Label columns with 0, 1 or nothing (unknown). Empty for a table without labels, to predict.
        label_column: One column that holds the name of the row's label instead. `labels` then lists the names
            (in rising order for grades).
        patient: Column of the patient; None where each row is a patient, named by its row number in the
            sheet.
        age: Column of the age in years.
        sex: Column of the sex.
        kind: How many labels a row has: any number (`multilabel`), or exactly one (`classes`, or ordered
            `grades`).
        image_folder: Folder where the paths start, by default that of the table; no path may lead out of it.
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
        self.folder = root.parent / Path(image_folder or "").expanduser()

    def read(self) -> Pairs:
        """Reads the sheet; opens no image.

        The label of a single image is also that of its view. The labels of a pair's eyes are unknown.

        Raises:
            DataError: a column is missing, a label is not 0 or 1 or has no known name, or a path leads out of
                the folder.
        """
        label_columns = self.labels if self.label_column is None else (self.label_column,)
        optional = [column for column in (self.patient, self.age, self.sex) if column is not None]
        text = [*self.views, *(column for column in (self.patient, self.label_column) if column)]
        frame = read_sheet(self.root, [*self.views, *label_columns, *optional], text)
        targets = self._targets(frame)
        view_targets = np.full((len(frame), len(self.views), len(self.labels)), -1, dtype=np.int8)
        if len(self.views) == 1:
            view_targets[:, 0] = targets
        patients, samples = self._names(frame)
        left, *others = [self._keys(frame, column) for column in self.views]
        right: list[str | None] = others[0] if others else [None for _ in left]
        years = ages(frame, self.age) if self.age else None
        sexes = texts(frame, self.sex) if self.sex else None
        return Pairs(
            dataset="table",
            labels=self.labels,
            kind=self.kind,
            num_views=2 if others else 1,
            table=pairs_table(samples, patients, left, right, years, sexes),
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
        classes = []
        for row, name in zip(row_numbers(frame), texts(frame, self.label_column), strict=True):
            if name and name not in self.labels:
                where = f"`{self.root}` row {row}, column `{self.label_column}`"
                raise DataError(
                    f"{where}: must be one of the labels, got {name!r}. {suggest(name, self.labels)}"
                )
            classes.append(self.labels.index(name) if name else -1)
        return one_hot(np.array(classes), len(self.labels))

    def _names(self, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Names of patients and samples; where a patient has several samples, their names end in a number."""
        if self.patient is None:
            rows = list(map(str, row_numbers(frame)))
            return rows, rows
        patients = pd.Series(texts(frame, self.patient))
        if not patients.duplicated().any():
            return patients.tolist(), patients.tolist()
        number = patients.groupby(patients).cumcount() + 1
        return patients.tolist(), [f"{p}-{n}" for p, n in zip(patients, number, strict=True)]

    def _keys(self, frame: pd.DataFrame, column: str) -> list[str | None]:
        names = ImageNames(self.folder)
        rows = zip(row_numbers(frame), texts(frame, column), strict=True)
        return [self._key(path, row, names) for row, path in rows]

    def _key(self, path: str, row: int, names: ImageNames) -> str | None:
        """The path below the image folder; None where a cell is empty, or a word for it and no file."""
        is_file = (self.folder / path).is_file()
        if not path or (path.lower() in NOTHING and not is_file):
            return None
        slashed = path if is_file else with_slashes(path)
        folder, image = (Path(os.path.normpath(p.absolute())) for p in (self.folder, self.folder / slashed))
        if not image.is_relative_to(folder) or PureWindowsPath(path).drive:
            raise DataError(
                f"`{self.root}` row {row}: a path must stay within `{self.folder}`, got {path!r}. "
                "Move the image there, or set `image_folder`."
            )
        key = image.relative_to(folder).as_posix()
        return names.find(key) or key
