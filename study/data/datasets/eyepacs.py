"""EyePACS (Kaggle Diabetic Retinopathy Detection 2015): both eyes with a grade of retinopathy each, 0 to 4.

Reads `trainLabels.csv` (columns `image`, such as `10_left`, and `level`) and an image of that name in
`train/` or beside the sheet.

Source: https://www.kaggle.com/c/diabetic-retinopathy-detection (grades of the International Clinical Diabetic
Retinopathy scale).
Differs: a patient's grade is the higher one of both eyes; the source grades eyes only.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from study.data.file_names import ImageNames
from study.data.images import ImageFolder
from study.data.pairs import EYES, Pairs, fingerprint, one_hot, pairs_table
from study.data.sheets import NOTHING, read_sheet, row_numbers, texts
from study.spec.errors import DataError

LABEL_SHEET = "trainLabels.csv"
GRADES = ("no_dr", "mild", "moderate", "severe", "proliferative")


class Eyepacs:
    """EyePACS below `root`.

    A patient with one photograph on disk has one eye. A patient with none keeps both, which the cache then
    reports as bad.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> Pairs:
        """Reads the sheet; opens no image.

        Raises:
            DataError: the sheet is missing or lacks a column, an image is not named `<patient>_<eye>` or
                stands twice, or a level is not 0 to 4.
        """
        sheet = self.root / LABEL_SHEET
        frame = read_sheet(sheet, ("image", "level"), text=("image",))
        images = self.root / "train" if (self.root / "train").is_dir() else self.root
        levels = self._levels(frame, sheet)
        patients: dict[str, dict[str, int]] = {}
        for row, name, level in zip(row_numbers(frame), texts(frame, "image"), levels, strict=True):
            where = f"`{sheet}` row {row}"
            match = re.fullmatch(r"(.+)_(left|right)", name)
            if not match:
                rule = "`image` must be `<patient>_left` or `<patient>_right`"
                raise DataError(f"{where}: {rule}, got {name!r}. Correct the cell.")
            patient, eye = match.groups()
            if eye in patients.setdefault(patient, {}):
                raise DataError(f"{where}: each image must stand once, got `{name}` again. Remove the row.")
            patients[patient][eye] = int(level)
        return self._pairs(images, patients)

    def _pairs(self, images: Path, patients: dict[str, dict[str, int]]) -> Pairs:
        names = ImageNames(images)
        keys, levels = [], []
        for patient, eyes in patients.items():
            on_disk = {eye: key for eye in eyes if (key := names.find(f"{patient}_{eye}"))}
            named = {eye: f"{patient}_{eye}.jpeg" for eye in eyes}
            keys.append([(on_disk or named).get(eye) for eye in EYES])
            levels.append([eyes.get(eye, -1) for eye in EYES])
        grades = np.array(levels)
        left, right = zip(*keys, strict=True)
        return Pairs(
            dataset="eyepacs",
            labels=GRADES,
            kind="grades",
            num_views=2,
            table=pairs_table(list(patients), list(patients), left, right),
            targets=one_hot(grades.max(axis=1), len(GRADES)),
            view_targets=one_hot(grades, len(GRADES)),
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(images, left + right, grades),
            load=ImageFolder(str(images)),
            normal=GRADES[0],
        )

    @staticmethod
    def _levels(frame: pd.DataFrame, sheet: Path) -> Int[np.ndarray, " n"]:
        """Grades of the rows, -1 where the cell is empty."""
        known = np.array([text.lower() not in NOTHING | {""} for text in texts(frame, "level")])
        levels = pd.to_numeric(frame["level"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        wrong = known & ~np.isin(levels, range(len(GRADES)))
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"`{sheet}` row {row_numbers(frame)[row]}, column `level`: a grade must be 0, 1, 2, 3 or 4, "
                f"got {frame['level'].iloc[row]!r}. Correct the cell."
            )
        return np.where(known, np.nan_to_num(levels), -1).astype(np.int64)
