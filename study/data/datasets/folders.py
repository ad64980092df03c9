"""One folder for each class, with single images in it (ultrasound frames, for example).

Source: this project.
Differs: nothing.
"""

import re
from pathlib import Path

import numpy as np

from study.data.images import SUFFIXES, ImageFolder
from study.data.pairs import Pairs, fingerprint, one_hot, pairs_table
from study.spec.errors import DataError


class Folders:
    """Single images in `root/<class>/`, the classes in alphabetical order.

    Args:
        root: The folder of the folders.
        patient: Regular expression found in the file's name; its first group (or the whole match) is the patient, so that all
            images of a patient stay on one side of the split. None: each image counts as a patient of its own, which is
            right only where no patient has two images.
    """

    def __init__(self, root: Path, *, patient: str | None = None) -> None:
        self.root = root
        self.patient = patient

    def read(self) -> Pairs:
        """Lists the folders; opens no image.

        Raises:
            DataError: there are fewer than two folders with images, or `patient` is no regular expression or not found in a name.
        """
        files = sorted(
            p
            for p in self.root.glob("*/*")
            if p.suffix.lower() in SUFFIXES and not p.parent.name.startswith(".")
        )
        classes = sorted({p.parent.name for p in files})
        if len(classes) < 2:
            raise DataError(
                f"`{self.root}`: must hold at least two folders with images, one for each class, got {len(classes)} "
                f"({', '.join(classes) or 'none'}). Known image types: {', '.join(sorted(SUFFIXES))}."
            )
        keys = [p.relative_to(self.root).as_posix() for p in files]
        targets = one_hot(np.array([classes.index(p.parent.name) for p in files]), len(classes))
        return Pairs(
            dataset="folders",
            labels=tuple(classes),
            kind="classes",
            num_views=1,
            table=pairs_table(keys, self._patients(files), keys, [None] * len(keys)),
            targets=targets,
            view_targets=targets[:, None],
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(self.root, keys, *self._patients(files)),
            load=ImageFolder(str(self.root)),
        )

    def _patients(self, files: list[Path]) -> list[str]:
        if self.patient is None:
            return [f"{p.parent.name}/{p.name}" for p in files]
        try:
            pattern = re.compile(self.patient)
        except re.error as error:
            raise DataError(
                f"`data.dataset.patient`: must be a regular expression, got {self.patient!r}: {error}."
            ) from None
        found = [pattern.search(p.name) for p in files]
        if None in found:
            name = files[found.index(None)].name
            raise DataError(
                f"`data.dataset.patient`: must be found in each file's name, got {self.patient!r} and {name!r}."
            )
        return [m[1] if pattern.groups else m[0] for m in found if m]
