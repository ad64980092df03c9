"""Train, validation and test sides by patient, with every label in fair share on each side; a file that can be edited."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Int8

from study.data.pairs import Pairs
from study.data.sheets import read_sheet
from study.spec.errors import DataError, suggest

SPLITS = ("train", "val", "test")


def make_split(
    pairs: Pairs,
    *,
    val: float,
    test: float,
    seed: int,
    folds: int = 1,
    fold: int = 0,
    groups: Int[np.ndarray, " n"] | None = None,
) -> pd.DataFrame:
    """One row a sample with its side: columns sample, patient, split and, with several folds, fold (where the sample is test).

    Args:
        pairs: Samples with all labels known; all samples of a patient come to one side.
        val: Share of all patients for validation.
        test: Share of all patients for the test; with several folds it is 1 / folds.
        seed: Same pairs and seed, same split.
        folds: Number of folds; each patient is in the test side of exactly one.
        fold: The fold whose patients are the test side, 0-based.
        groups: A number for each sample; patients of one number come to one side, as one patient with the labels of all.

    Raises:
        DataError: shares leave nothing to train on, labels are unknown, or a label has too few patients for every side to hold one.
    """
    if folds > 1:
        test = 1 / folds
    if min(val, test) <= 0 or val + test >= 1 or not 0 <= fold < folds:
        raise DataError(
            f"`data.split`: val and test (1 / folds) must be above 0 with a sum below 1, and fold below folds, "
            f"got val {val:g}, test {test:g}, folds {folds}, fold {fold}."
        )
    rows, labels = _patients(pairs, groups)
    _require_patients(pairs, labels, max(len(SPLITS), folds))
    rng = np.random.default_rng(seed)
    if folds == 1:
        side = stratify(labels, [1 - val - test, val, test], rng)
    else:
        of_fold = stratify(labels, [1 / folds] * folds, rng)
        rest = of_fold != fold
        side = np.full(len(labels), SPLITS.index("test"))
        side[rest] = stratify(
            labels[rest], [1 - val / (1 - test), val / (1 - test)], np.random.default_rng([seed, fold])
        )
    frame = pd.DataFrame(
        {
            "sample": pairs.table["sample"],
            "patient": pairs.table["patient"],
            "split": np.array(SPLITS)[side[rows]],
        }
    )
    if folds > 1:
        frame["fold"] = of_fold[rows]
    _require_labels(pairs, frame)
    return frame


def stratify(
    labels: Int8[np.ndarray, "n l"], shares: Sequence[float], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """The part of each row, by iterative stratification: the rarest label first, each of its rows to the part that lacks it most.

    Ties go to the part that lacks most rows, then to chance. Rows without a label fill up at the end.

    Source: Sechidis, Tsoumakas, Vlahavas 2011, On the stratification of multi-label data, algorithm 1.
    Differs: a part wants at least one row of each label, the largest part giving way, so that rare labels reach small parts.
    """
    n = len(labels)
    share = np.asarray(shares) / np.sum(shares)
    largest = int(share.argmax())
    want_rows = n * share
    want = _wanted(labels.sum(axis=0, dtype=np.int64), share, largest)
    part = np.full(n, -1)
    while (left := labels[part < 0].sum(axis=0, dtype=np.int64)).any():
        rarest = int(np.where(left > 0, left, n + 1).argmin())
        for row in rng.permutation(np.flatnonzero((part < 0) & (labels[:, rarest] == 1))):
            chosen = _most(want[rarest], want_rows, rng)
            part[row] = chosen
            want[:, chosen] -= labels[row]
            want_rows[chosen] -= 1
    for row in rng.permutation(np.flatnonzero(part < 0)):
        part[row] = _most(want_rows, want_rows, rng)
        want_rows[part[row]] -= 1
    return part


def read_split(path: Path, pairs: Pairs) -> pd.DataFrame:
    """The split of a file, in the order of the pairs; samples that were skipped while the images were read may stand in it.

    Raises:
        DataError: a side has another name, a sample is unknown, missing or named twice, a patient is on two sides, a side lacks a label.
    """
    frame = read_sheet(path, ["sample", "split"], text=["sample", "patient", "split"])
    for side in frame["split"].unique():
        if side not in SPLITS:
            raise DataError(
                f"`{path}`: split must be train, val or test, got {side!r}. {suggest(str(side), SPLITS)}"
            )
    samples, known = frame["sample"], set(pairs.table["sample"])
    _refuse(path, "each sample must stand once", samples[samples.duplicated()])
    skipped = {s for names in pairs.skipped.values() for s in names}
    _refuse(path, "each sample must be one of the data set", samples[~samples.isin(known | skipped)])
    _refuse(
        path,
        "each sample of the data set must have a side",
        pairs.table["sample"][~pairs.table["sample"].isin(samples)],
    )
    merged = pairs.table[["sample", "patient"]].merge(
        frame.drop(columns="patient", errors="ignore"), on="sample", how="left"
    )
    sides = merged.groupby("patient")["split"].nunique()
    _refuse(path, "all samples of a patient must be on one side", pd.Series(sides[sides > 1].index))
    _require_labels(pairs, merged)
    return merged


def _wanted(
    counts: Int[np.ndarray, " l"], share: Float[np.ndarray, " p"], largest: int
) -> Float[np.ndarray, "l p"]:
    """How many rows of each label each part wants: its share, at least one, the largest part what is left."""
    want: Float[np.ndarray, "l p"] = np.maximum(counts[:, None] * share, 1.0)
    want[:, largest] = 0
    want[:, largest] = counts - want.sum(axis=1)
    return want


def _most(first: Float[np.ndarray, " p"], second: Float[np.ndarray, " p"], rng: np.random.Generator) -> int:
    """Position of the largest `first`, of these the largest `second`, of these any."""
    best = np.flatnonzero(np.isclose(first, first.max()))
    best = best[np.isclose(second[best], second[best].max())]
    return int(rng.choice(best))


def _patients(
    pairs: Pairs, groups: Int[np.ndarray, " n"] | None
) -> tuple[Int[np.ndarray, " n"], Int8[np.ndarray, "p l"]]:
    """The patient (or group) of each sample, and the union of each one's labels."""
    unknown = (pairs.targets < 0).any(axis=1)
    if unknown.any():
        raise DataError(
            f"`data.root`: every label must be known to split a data set, got {int(unknown.sum())} samples with unknown ones, "
            f"the first {pairs.table['sample'].iloc[int(unknown.argmax())]!r}. Fill the cells or remove the rows."
        )
    rows, patients = pd.factorize(pairs.table["patient"] if groups is None else groups)
    labels = np.zeros((len(patients), len(pairs.labels)), dtype=np.int8)
    np.maximum.at(labels, rows, pairs.targets)
    return rows, labels


def _require_patients(pairs: Pairs, labels: Int8[np.ndarray, "p l"], least: int) -> None:
    few = {
        name: int(count)
        for name, count in zip(pairs.labels, labels.sum(axis=0), strict=True)
        if count < least
    }
    if few or not pairs.labels:
        raise DataError(
            f"`data.split`: each label needs at least {least} patients, one for each side or fold, got "
            f"{', '.join(f'{n} of {name}' for name, n in few.items()) or 'no labels'}. Add patients or leave the label out."
        )


def _require_labels(pairs: Pairs, frame: pd.DataFrame) -> None:
    for side in SPLITS:
        counts = pairs.targets[(frame["split"] == side).to_numpy()].sum(axis=0)
        lacking = [name for name, count in zip(pairs.labels, counts, strict=True) if count < 1]
        if lacking:
            totals = dict(zip(pairs.labels, pairs.targets.sum(axis=0), strict=True))
            raise DataError(
                f"`data.split`: each side must hold every label, got none in {side} of "
                f"{', '.join(f'{name} ({int(totals[name])} samples in all)' for name in lacking)}. Use more patients or larger shares."
            )


def _refuse(path: Path, rule: str, wrong: pd.Series) -> None:
    if len(wrong):
        raise DataError(
            f"`{path}`: {rule}, got {len(wrong)} against it, the first {wrong.iloc[0]!r}. Correct the file."
        )
