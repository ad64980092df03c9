"""What every data set gives: a table of pairs, their labels, and a way to load an image."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Int8, UInt8

from study.spec.errors import DataError
from study.spec.task import LabelKind

Loader: TypeAlias = Callable[[str], UInt8[np.ndarray, "h w 3"]]
Eye: TypeAlias = Literal["left", "right"]
EYES: tuple[Eye, Eye] = ("left", "right")
"""The patient's eyes in the order of the views."""
COLUMNS = ("sample", "patient", "left", "right", "age", "sex")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Samples (a pair of eyes, or one image), their labels and the loader of their images.

    Attributes:
        dataset: Name of the data set that was read (`phantom` where nothing real was).
        labels: Names of the labels; for grades in rising order.
        kind: How many labels a sample carries.
        num_views: 2 for pairs (0 = the patient's left eye, 1 = right), 1 for single images (column `left`
            only).
        table: One row a sample, see `pairs_table`.
        targets: 0 or 1 for each label of a sample (one-hot for classes and grades), -1 where unknown.
        view_targets: The same for each image of a sample.
        synthetic: Whether the images are drawn, not photographed.
        root: Where the data set was read, empty for the phantom.
        fingerprint: Hash of everything that decides what the images and labels are.
        skipped: Samples that were left out, by reason.
        notes: What else was left out or passed over, a sentence each.
        load: Decodes the image of a key; can be pickled.
        label_names: The labels in full, in their order; empty where they are words already.
        normal: The label of an eye without findings; empty where there is none.

    Raises:
        DataError: the parts do not fit together.
    """

    dataset: str
    labels: tuple[str, ...]
    kind: LabelKind
    num_views: Literal[1, 2]
    table: pd.DataFrame = field(repr=False)
    targets: Int8[np.ndarray, "n l"] = field(repr=False)
    view_targets: Int8[np.ndarray, "n v l"] = field(repr=False)
    synthetic: bool
    root: str
    fingerprint: str
    load: Loader
    skipped: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    normal: str = ""

    def __post_init__(self) -> None:
        _check_table(self)
        _check_targets(self)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def keys(self) -> list[tuple[str | None, ...]]:
        """Image keys of each sample, one for each view, None where an eye is missing."""
        rows = self.table[list(EYES[: self.num_views])].itertuples(index=False, name=None)
        return [tuple(map(_key_or_none, row)) for row in rows]

    def subset(self, rows: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Pairs":
        """The samples of a mask or of positions, in that order, with a fingerprint of their own."""
        positions = np.flatnonzero(rows) if rows.dtype == bool else rows
        table = self.table.iloc[positions].reset_index(drop=True)
        return replace(
            self,
            table=table,
            targets=self.targets[positions],
            view_targets=self.view_targets[positions],
            fingerprint=digest(self.fingerprint, *table["sample"]),
        )


def pairs_table(
    sample: Sequence[str],
    patient: Sequence[str],
    left: Sequence[str | None],
    right: Sequence[str | None],
    age: Sequence[float] | None = None,
    sex: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The table of `Pairs`.

    Args:
        sample: Names of the samples.
        patient: Names of their patients.
        left: Keys of the left eyes' images (of the only images, where samples are single images), or None.
        right: Keys of the right eyes' images, or None.
        age: Ages in years, NaN where unknown.
        sex: Sexes, empty where unknown.
    """
    n = len(sample)
    return pd.DataFrame(
        {
            "sample": pd.Series(list(sample), dtype=object),
            "patient": pd.Series(list(patient), dtype=object),
            "left": pd.Series(list(left), dtype=object),
            "right": pd.Series(list(right), dtype=object),
            "age": pd.Series(list(age) if age is not None else [np.nan] * n, dtype=float),
            "sex": pd.Series(list(sex) if sex is not None else [""] * n, dtype=object),
        }
    )


def single_eyes(pairs: Pairs) -> Pairs:
    """Each eye as a sample of its own, `<sample>-left` or `<sample>-right`, with the labels of the eye.

    Eyes without an image are left out, and so are those with unknown labels, unless all are unknown. Single
    images stay as they are.
    """
    if pairs.num_views == 1:
        return pairs
    views = pairs.view_targets.reshape(-1, len(pairs.labels))
    table = pairs.table.loc[pairs.table.index.repeat(2)].reset_index(drop=True)
    right = np.arange(len(table)) % 2 == 1
    table["sample"] = table["sample"] + np.where(right, "-right", "-left")
    table["left"] = table["left"].where(~right, table["right"])
    table["right"] = None
    unknown = (views < 0).any(axis=1)
    there = table["left"].notna().to_numpy()
    keep = there & (~unknown | unknown.all())
    left_out = {"have no image": (~there).sum(), "have unknown labels": (there & ~keep).sum()}
    return replace(
        pairs,
        num_views=1,
        table=table[keep].reset_index(drop=True),
        targets=views[keep],
        view_targets=views[keep][:, None],
        fingerprint=digest(pairs.fingerprint, "eyes"),
        notes=(*pairs.notes, *(f"{n} eyes are left out, which {why}." for why, n in left_out.items() if n)),
    )


def one_hot(classes: Int[np.ndarray, " ..."], num_labels: int) -> Int8[np.ndarray, "... l"]:
    """1 at the class of each entry, 0 elsewhere; a class of -1 (unknown) gives -1 everywhere."""
    hot: Int8[np.ndarray, "... l"] = (classes[..., None] == np.arange(num_labels)).astype(np.int8)
    hot[classes < 0] = -1
    return hot


def digest(*parts: object) -> str:
    """The sha256 of the parts' text as 64 hexadecimal digits."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def fingerprint(folder: Path, keys: Iterable[str | None], *facts: object) -> str:
    """The sha256 over what decides a data set's images and labels.

    Args:
        folder: Folder of the images.
        keys: Paths of the images below the folder; the name, size and time of change of each file counts, and
            also that a file is absent.
        facts: Anything else that counts, such as the labels.
    """
    lines = []
    for key in keys:
        if key is None:
            continue
        try:
            status = (folder / key).stat()
            lines.append(f"{key} {status.st_size} {status.st_mtime_ns}")
        except OSError:
            lines.append(f"{key} absent")
    arrays = [
        hashlib.sha256(np.ascontiguousarray(f).tobytes()).hexdigest() if isinstance(f, np.ndarray) else f
        for f in facts
    ]
    return digest(*lines, *arrays)


def _key_or_none(cell: object) -> str | None:
    return cell if isinstance(cell, str) else None


def _check_table(pairs: Pairs) -> None:
    where, table = pairs.root or pairs.dataset, pairs.table
    if missing := [c for c in COLUMNS if c not in table]:
        raise DataError(
            f"`{where}`: the table of pairs must have the columns {', '.join(COLUMNS)}, "
            f"got none named {', '.join(missing)}."
        )
    if len(table) == 0:
        raise DataError(f"`{where}`: must hold at least one sample, got none. Check the root.")
    double = table["sample"][table["sample"].duplicated()]
    if len(double):
        raise DataError(
            f"`{where}`: each sample must stand once, got {double.iloc[0]!r} more than once. "
            "Remove the double rows."
        )
    if not all(isinstance(v, str) and v for c in ("sample", "patient") for v in table[c]):
        raise DataError(f"`{where}`: sample and patient must be non-empty text. Fill the empty cells.")
    for sample, keys in zip(table["sample"], pairs.keys, strict=True):
        if not any(keys):
            raise DataError(f"`{where}`: each sample must name an image, got none for {sample!r}.")
    if pairs.num_views == 1 and table["right"].notna().any():
        raise DataError(f"`{where}`: a set of single images must leave `right` empty.")


def _check_targets(pairs: Pairs) -> None:
    where = pairs.root or pairs.dataset
    n, num_labels = len(pairs.table), len(pairs.labels)
    if len(set(pairs.labels)) != num_labels:
        raise DataError(f"`{where}`: labels must differ from each other, got {', '.join(pairs.labels)}.")
    for name, values, shape in (
        ("targets", pairs.targets, (n, num_labels)),
        ("view_targets", pairs.view_targets, (n, pairs.num_views, num_labels)),
    ):
        if values.shape != shape:
            raise DataError(
                f"`{where}`: {name} must have the shape {shape} (samples, views, labels), got {values.shape}."
            )
        bad = ~np.isin(values, (-1, 0, 1))
        if bad.any():
            sample = pairs.table["sample"].iloc[int(np.argwhere(bad)[0][0])]
            raise DataError(
                f"`{where}`: {name} must be 0, 1 or -1 (unknown), got {values[bad][0]} for {sample!r}."
            )
        if pairs.kind != "multilabel" and num_labels:
            wrong = (values.sum(-1) != 1) & ~(values == -1).all(-1)
            if wrong.any():
                sample = pairs.table["sample"].iloc[int(np.argwhere(wrong)[0][0])]
                raise DataError(
                    f"`{where}`: exactly one label a sample where the kind is `{pairs.kind}`, "
                    f"got {int(values[wrong][0].sum())} for {sample!r}."
                )
