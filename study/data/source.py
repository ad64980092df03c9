"""From the section `data` of a study to its pairs; without a root, the phantom stands in for the data set."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from study.data.images import ImageFolder
from study.data.pairs import Pairs, digest, single_eyes
from study.data.remote import local_copy
from study.places import CACHE
from study.spec.components import Component, build
from study.spec.data_section import DataSpec
from study.spec.errors import DataError, OtherDataError
from study.spec.section import absolute_or_uri, is_uri

STAND_INS: dict[str, str] = {"odir5k": "fundus", "eyepacs": "grades", "folders": "ultrasound"}
"""Variant of the phantom for each data set that it can stand in for."""
ROOT = "STUDY_ROOT_"  # start of the environment's names for the roots of data sets


def roots() -> dict[str, str]:
    """The roots that the environment gives, as absolute paths, by the name of their variable."""
    found = {name: path for name, path in os.environ.items() if name.startswith(ROOT) and path}
    return {name: absolute_or_uri(path) for name, path in found.items()}


def use_roots(wanted: Mapping[str, str]) -> None:
    """Makes these the roots that the environment gives.

    A trial must read what the study read where it was started, or nothing, and never the phantom instead.
    """
    for name in roots().keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


def open_dataset(
    data: DataSpec, cache: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Pairs:
    """The pairs of a study's data set.

    It is read at `data.root`, else at the environment's `STUDY_ROOT_<DATASET>`; without either, the phantom
    stands in. A root that is given but wrong is an error, never a reason to take the phantom. With
    `data.unit: eye` each eye of a pair is a sample of its own.

    Args:
        data: The data part of a trial.
        cache: Folder of all caches, where a root on an object store is copied to; that of this machine where
            left out.
        progress: Called with files done and their total while they are copied.

    Raises:
        DataError: the root does not exist or is not what the data set needs, or there is none and the phantom
            cannot stand in.
    """
    pairs = at_frame(_open(data, cache or CACHE, progress), data.frame)
    return single_eyes(pairs) if data.unit == "eye" else pairs


def at_frame(pairs: Pairs, frame: int) -> Pairs:
    """The pairs with another frame of the files that have several, counted from 1."""
    if frame == 1 or not isinstance(pairs.load, ImageFolder):
        return pairs
    return replace(pairs, load=replace(pairs.load, frame=frame), fingerprint=digest(pairs.fingerprint, frame))


def _open(data: DataSpec, cache: Path, progress: Callable[[int, int], None] | None) -> Pairs:
    name = data.dataset.name
    variable = f"{ROOT}{name.upper()}"
    if name == "phantom":
        if data.root is not None:
            raise DataError(
                f"`data.root`: the phantom is drawn and has no root, got `{data.root}`. Leave it out."
            )
        return _read(data.dataset, None)
    origin = "data.root" if data.root is not None else variable
    root = data.root or os.environ.get(variable)
    if not root:
        return _stand_in(name, variable, data.phantom_patients)
    path = local_copy(root, cache, progress) if is_uri(root) else Path(root).expanduser()
    if not path.exists():
        raise OtherDataError(
            f"`{origin}`: must be an existing file or folder, got `{path}`. "
            "Correct it, or leave it out for synthetic data."
        )
    if path.is_dir() == (name == "table"):
        wanted = "file" if name == "table" else "folder"
        raise DataError(f"`{origin}`: must be a {wanted} for `{name}`, got `{path}`. Correct it.")
    pairs = _read(data.dataset, path)
    return replace(pairs, root=root) if is_uri(root) else pairs


def _stand_in(name: str, variable: str, num_patients: int) -> Pairs:
    """The phantom in place of a data set for which no root is given."""
    if name not in STAND_INS:
        raise DataError(
            f"`data.root`: must be given for `{name}`, got nothing. "
            f"Give it there or in the environment as {variable}."
        )
    args = {"variant": STAND_INS[name], "num_patients": num_patients}
    return _read(Component(name="phantom", args=args), None)


def _read(dataset: Component, root: Path | None) -> Pairs:
    pairs: Pairs = build("dataset", dataset, root).read()
    return pairs
