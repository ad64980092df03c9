"""From the name of a data set to its pairs; without any root, the phantom stands in and says that it is synthetic."""

import os
from pathlib import Path
from typing import Any, Literal

from study.data.pairs import Pairs, single_eyes
from study.spec.components import Component, build
from study.spec.errors import DataError

STAND_INS: dict[str, dict[str, Any]] = {
    "odir5k": {"variant": "fundus"},
    "eyepacs": {"variant": "grades"},
    "folders": {"variant": "ultrasound"},
}
"""Arguments of the phantom for each data set that it can stand in for."""


def open_dataset(
    component: Component,
    root: str | Path | None = None,
    *,
    num_patients: int | None = None,
    unit: Literal["pair", "eye"] = "pair",
) -> Pairs:
    """Pairs of the data set at `root`, else at the environment's `STUDY_ROOT_<DATASET>`, else of the phantom.

    Args:
        component: The data set with its arguments.
        root: Folder or file; one that is given but wrong is an error, never a reason to take the phantom.
        num_patients: Size of the phantom where it stands in; None for its own default.
        unit: What a sample is; with `eye` each eye of a pair is one of its own.

    Raises:
        DataError: the root is not there or not what the data set needs, or there is none and the phantom cannot stand in.
    """
    pairs = _open(component, root, num_patients)
    return single_eyes(pairs) if unit == "eye" else pairs


def _open(component: Component, root: str | Path | None, num_patients: int | None) -> Pairs:
    name = component.name
    variable = f"STUDY_ROOT_{name.upper()}"
    if name == "phantom":
        if root is not None:
            raise DataError(f"`data.root`: the phantom is drawn and has no root, got `{root}`. Leave it out.")
        return _read(component, None)
    origin = "data.root" if root is not None else variable
    given = root if root is not None else os.environ.get(variable) or None
    if given is None:
        return _phantom(name, variable, num_patients)
    path = Path(given).expanduser()
    if not path.exists():
        raise DataError(
            f"`{origin}`: must be an existing file or folder, got `{path}`. Correct it, or leave it out for synthetic data."
        )
    if path.is_dir() == (name == "table"):
        raise DataError(
            f"`{origin}`: must be a {'file' if name == 'table' else 'folder'} for `{name}`, got `{path}`."
        )
    return _read(component, path)


def _phantom(name: str, variable: str, num_patients: int | None) -> Pairs:
    if name not in STAND_INS:
        raise DataError(
            f"`data.root`: must be given for `{name}`, got nothing. Give it there or in the environment as {variable}."
        )
    size = {} if num_patients is None else {"num_patients": num_patients}
    return _read(Component(name="phantom", args={**STAND_INS[name], **size}), None)


def _read(component: Component, root: Path | None) -> Pairs:
    pairs: Pairs = build("dataset", component, root).read()
    return pairs
