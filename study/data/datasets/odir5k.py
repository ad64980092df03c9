"""ODIR-5K: fundus photographs of both eyes, eight labels a patient (N D G C A H M O), age, sex and keywords.

The official layout (one `.xlsx` sheet beside `Training Images/`) can be read, and so can that of Kaggle
(`full_df.csv` with one row an eye beside `preprocessed_images/`).

Source: Peking University International Competition on Ocular Disease Intelligent Recognition (ODIR-2019);
arXiv 2102.07978.
Differs: labels of each eye are added, from the keywords (see `study.data.keywords`).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int8

from study.data.file_names import ImageNames, exists_for_people
from study.data.images import ImageFolder
from study.data.keywords import LABEL_NAMES, LABELS, eye_labels
from study.data.pairs import Pairs, fingerprint, pairs_table
from study.data.sheets import ages, binary_targets, read_sheet, row_numbers, texts
from study.spec.errors import DataError

FILES = ("Left-Fundus", "Right-Fundus")
KEYWORDS = ("Left-Diagnostic Keywords", "Right-Diagnostic Keywords")
COLUMNS = ("ID", "Patient Age", "Patient Sex", *FILES, *KEYWORDS, *LABELS)
OFFICIAL_IMAGES, KAGGLE_SHEET, KAGGLE_IMAGES = "Training Images", "full_df.csv", "preprocessed_images"


class Odir5k:
    """ODIR-5K below `root`.

    A patient with one of the two named files on disk has one eye. A patient with none keeps both names, which
    the cache then reports as bad.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> Pairs:
        """Reads the sheet; opens no image.

        Raises:
            DataError: the folder has neither layout, a column is missing, a label is not 0 or 1, an age is
                none, or the rows of a patient differ.
        """
        sheet, images = self._layout()
        frame = read_sheet(sheet, COLUMNS, text=("ID",))
        frame = frame.drop_duplicates([*COLUMNS])
        patients = texts(frame, "ID")
        _require_one_row(frame, patients, sheet)
        years, sexes = ages(frame, "Patient Age"), texts(frame, "Patient Sex")
        targets = binary_targets(frame, LABELS, sheet)
        view_targets = np.stack([_labels_of_eyes(texts(frame, column)) for column in KEYWORDS], axis=1)
        names = ImageNames(images)
        named = zip(*(texts(frame, column) for column in FILES), strict=True)
        keys = [_keys_on_disk((left or None, right or None), names) for left, right in named]
        left, right = zip(*keys, strict=True)
        return Pairs(
            dataset="odir5k",
            labels=LABELS,
            kind="multilabel",
            num_views=2,
            table=pairs_table(patients, patients, left, right, years, sexes),
            targets=targets,
            view_targets=view_targets,
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(images, left + right, targets, view_targets),
            load=ImageFolder(str(images)),
            label_names=tuple(LABEL_NAMES.values()),
            normal="N",
        )

    def _layout(self) -> tuple[Path, Path]:
        """The sheet and the folder of images, of the layout that the folder has."""
        official = sorted(filter(exists_for_people, self.root.glob("*.[xX][lL][sS][xX]")))
        if (self.root / OFFICIAL_IMAGES).is_dir() and official:
            if len(official) > 1:
                raise DataError(
                    f"`{self.root}`: must hold one .xlsx sheet beside `{OFFICIAL_IMAGES}/`, "
                    f"got {', '.join(path.name for path in official)}. Move the others away."
                )
            return official[0], self.root / OFFICIAL_IMAGES
        if (self.root / KAGGLE_SHEET).is_file() and (self.root / KAGGLE_IMAGES).is_dir():
            return self.root / KAGGLE_SHEET, self.root / KAGGLE_IMAGES
        raise DataError(
            f"`{self.root}`: must hold ODIR-5K as one .xlsx sheet beside `{OFFICIAL_IMAGES}/`, "
            f"or `{KAGGLE_SHEET}` beside `{KAGGLE_IMAGES}/`, got neither. Give the folder that holds them."
        )


def _labels_of_eyes(keywords: list[str]) -> Int8[np.ndarray, "n l"]:
    return np.stack([eye_labels(text) for text in keywords])


def _require_one_row(frame: pd.DataFrame, patients: list[str], sheet: Path) -> None:
    """Rows that are equal in what is read count once; a patient with different ones has no known labels."""
    seen: dict[str, int] = {}
    for place, patient in enumerate(patients):
        first = seen.setdefault(patient, place)
        if first == place:
            continue
        rows = row_numbers(frame)
        one, other = (frame.iloc[i] for i in (first, place))
        differing = [name for name in COLUMNS if one[name] != other[name]]
        raise DataError(
            f"`{sheet}` rows {rows[first]} and {rows[place]}: the rows of patient {patient} must agree, "
            f"got different {', '.join(f'`{name}`' for name in differing)}. Correct or remove one."
        )


def _keys_on_disk(named: tuple[str | None, ...], names: ImageNames) -> tuple[str | None, ...]:
    """The files of those names that are on disk; the names where there is none."""
    found = tuple(name and names.find(name) for name in named)
    return found if any(found) else named
