"""ODIR-5K: fundus photographs of both eyes with eight labels a patient (N D G C A H M O), age, sex and keywords.

Reads the official layout (one `.xlsx` beside `Training Images/`) and the Kaggle layout (`full_df.csv`, one row an eye,
beside `preprocessed_images/`).

Source: Peking University International Competition on Ocular Disease Intelligent Recognition (ODIR-2019); arXiv 2102.07978.
Differs: labels of each eye are added, from the keywords (see `study.data.keywords`).
"""

from pathlib import Path

import numpy as np

from study.data.images import ImageFolder
from study.data.keywords import LABELS, eye_labels
from study.data.pairs import Pairs, fingerprint, pairs_table
from study.data.sheets import binary_targets, numbers, read_sheet, texts
from study.spec.errors import DataError

FILES = ("Left-Fundus", "Right-Fundus")
KEYWORDS = ("Left-Diagnostic Keywords", "Right-Diagnostic Keywords")
COLUMNS = ("ID", "Patient Age", "Patient Sex", *FILES, *KEYWORDS, *LABELS)
OFFICIAL_IMAGES, KAGGLE_SHEET, KAGGLE_IMAGES = "Training Images", "full_df.csv", "preprocessed_images"


class Odir5k:
    """Binocular ODIR-5K below `root`.

    A patient with one of the two named files on disk has one eye; with none of them, the images are bad and the cache says so.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> Pairs:
        """Reads the sheet; opens no image.

        Raises:
            DataError: neither layout is there, a column is missing, or a label is not 0 or 1.
        """
        sheet, images = self._layout()
        frame = read_sheet(sheet, COLUMNS, text=("ID",)).drop_duplicates(
            "ID" if sheet.name == KAGGLE_SHEET else None
        )
        patients = texts(frame, "ID")
        targets = binary_targets(frame, LABELS, sheet)
        view_targets = np.stack(
            [np.stack([eye_labels(k) for k in texts(frame, column)]) for column in KEYWORDS], axis=1
        )
        present = {p.name for p in images.iterdir()}
        named = [
            (left or None, right or None)
            for left, right in zip(*(texts(frame, column) for column in FILES), strict=True)
        ]
        keys = [
            pair if present.isdisjoint(pair) else tuple(k if k in present else None for k in pair)
            for pair in named
        ]
        left, right = ([pair[view] for pair in keys] for view in (0, 1))
        return Pairs(
            dataset="odir5k",
            labels=LABELS,
            kind="multilabel",
            num_views=2,
            table=pairs_table(
                patients, patients, left, right, numbers(frame, "Patient Age"), texts(frame, "Patient Sex")
            ),
            targets=targets,
            view_targets=view_targets,
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(images, left + right, targets, view_targets),
            load=ImageFolder(str(images)),
        )

    def _layout(self) -> tuple[Path, Path]:
        """The sheet and the folder of images of the layout that is there."""
        official = sorted(p for p in self.root.glob("*.xlsx") if not p.name.startswith("~$"))
        if len(official) == 1 and (self.root / OFFICIAL_IMAGES).is_dir():
            return official[0], self.root / OFFICIAL_IMAGES
        if (self.root / KAGGLE_SHEET).is_file() and (self.root / KAGGLE_IMAGES).is_dir():
            return self.root / KAGGLE_SHEET, self.root / KAGGLE_IMAGES
        raise DataError(
            f"`{self.root}`: must hold ODIR-5K as one .xlsx sheet beside `{OFFICIAL_IMAGES}/`, or `{KAGGLE_SHEET}` beside "
            f"`{KAGGLE_IMAGES}/`, got neither. Give the folder that holds them."
        )
