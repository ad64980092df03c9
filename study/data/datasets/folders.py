"""One folder for each class, with single images in it (ultrasound frames, for example).

Source: this project.
Differs: nothing.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from study.data.file_names import exists_for_people
from study.data.images import SUFFIXES, ImageFolder
from study.data.pairs import Pairs, fingerprint, one_hot, pairs_table
from study.spec.errors import DataError


class Folders:
    """Single images in `root/<class>/`, the classes in alphabetical order.

    Args:
        root: The folder of the folders.
        patient: Regular expression that is found in each file's name. Its first group (or the whole match) is
            the patient, so that all images of a patient come to one split. With None each image counts as a
            patient of its own, which is right only where no patient has two images.
    """

    def __init__(self, root: Path, *, patient: str | None = None) -> None:
        self.root = root
        self.patient = patient

    def read(self) -> Pairs:
        """Lists the folders; opens no image.

        Raises:
            DataError: there are fewer than two folders with images, or `patient` is no regular expression or
                is not found in a name.
        """
        files = sorted(
            path
            for path in self.root.glob("*/*")
            if path.suffix.lower() in SUFFIXES and all(map(exists_for_people, (path, path.parent)))
        )
        classes = sorted({path.parent.name for path in files})
        if len(classes) < 2:
            raise DataError(
                f"`{self.root}`: must hold at least two folders with images, one for each class, "
                f"got {len(classes)} ({', '.join(classes) or 'none'}). "
                f"Known image types: {', '.join(sorted(SUFFIXES))}."
            )
        keys = [path.relative_to(self.root).as_posix() for path in files]
        patients = self._patients(files)
        targets = one_hot(np.array([classes.index(path.parent.name) for path in files]), len(classes))
        return Pairs(
            dataset="folders",
            labels=tuple(classes),
            kind="classes",
            num_views=1,
            table=pairs_table(keys, patients, keys, [None] * len(keys)),
            targets=targets,
            view_targets=targets[:, None],
            synthetic=False,
            root=str(self.root),
            fingerprint=fingerprint(self.root, keys, *patients),
            load=ImageFolder(str(self.root)),
            notes=self._passed_over(files),
        )

    def _passed_over(self, files: list[Path]) -> tuple[str, ...]:
        """What lies in the folders of the classes, or in folders below them, and is not read."""
        below = (path for path in self.root.glob("*/**/*") if path.is_file())
        parts = ((path, path.relative_to(self.root)) for path in below)
        others = {path for path, part in parts if all(map(exists_for_people, (part, *part.parents[:-1])))}
        kinds = Counter(path.suffix.lower() or "no suffix" for path in others - set(files))
        if not kinds:
            return ()
        counts = ", ".join(f"{count} of {kind}" for kind, count in sorted(kinds.items()))
        return (f"Files beside the images of the classes that are not read: {counts}.",)

    def _patients(self, files: list[Path]) -> list[str]:
        if self.patient is None:
            return [f"{path.parent.name}/{path.name}" for path in files]
        try:
            pattern = re.compile(self.patient)
        except re.error as error:
            raise DataError(
                f"`data.dataset.patient`: must be a regular expression, got {self.patient!r} ({error}). "
                "Correct it."
            ) from None
        group = 1 if pattern.groups else 0
        patients = []
        for path in files:
            match = pattern.search(path.name)
            if match is None:
                raise DataError(
                    "`data.dataset.patient`: must be found in each file's name, "
                    f"got {self.patient!r} and {path.name!r}. Correct it, or rename the file."
                )
            patients.append(match[group])
        return patients
