from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Int8

from study.data.datasets.phantom import Phantom
from study.data.pairs import Pairs
from study.data.split import SPLITS, make_split, read_split, stratify
from study.spec.errors import DataError

Variant: TypeAlias = Literal["fundus", "grades", "ultrasound"]
PHANTOM = Phantom(None, num_patients=160).read()


def targets_by_split(pairs: Pairs, frame: pd.DataFrame) -> dict[str, Int8[np.ndarray, "n l"]]:
    return {split: pairs.targets[(frame["split"] == split).to_numpy()] for split in SPLITS}


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.1, 0.3),
    st.floats(0.1, 0.3),
    st.sampled_from(get_args(Variant)),
    st.integers(1, 4),
)
def test_patients_are_in_one_split_and_nobody_is_lost(
    seed: int, val: float, test: float, variant: Variant, folds: int
) -> None:
    pairs = Phantom(None, variant=variant, num_patients=80, seed=seed % 3).read()
    frame = make_split(pairs, val=val, test=test, seed=seed, folds=folds, fold=folds - 1)
    assert frame["sample"].tolist() == pairs.table["sample"].tolist()
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert set(frame["split"]) == set(SPLITS)


def test_labels_are_in_fair_share_in_each_split() -> None:
    targets = targets_by_split(PHANTOM, make_split(PHANTOM, val=0.2, test=0.2, seed=3))
    assert [len(rows) for rows in targets.values()] == pytest.approx([96, 32, 32], abs=2)
    for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert targets[split].sum(0) == pytest.approx(PHANTOM.targets.sum(0) * share, abs=1.5)


def test_same_seed_same_split_other_seed_another() -> None:
    first, again, other = (make_split(PHANTOM, val=0.2, test=0.2, seed=seed)["split"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_each_patient_is_tested_in_exactly_one_fold() -> None:
    frames = [make_split(PHANTOM, val=0.15, test=0.5, seed=0, folds=4, fold=fold) for fold in range(4)]
    tested = np.stack([(f["split"] == "test").to_numpy() for f in frames])
    assert (tested.sum(axis=0) == 1).all()
    for fold, frame in enumerate(frames):
        assert np.array_equal(frame["fold"] == fold, tested[fold])
        assert (frame["split"] == "val").sum() == pytest.approx(24, abs=3)
        assert all(targets.sum(0).min() > 0 for targets in targets_by_split(PHANTOM, frame).values())


def test_rarest_label_reaches_every_part() -> None:
    labels = np.zeros((100, 2), dtype=np.int8)
    labels[:, 0] = 1
    labels[:3, 1] = 1
    part = stratify(labels, [0.7, 0.15, 0.15], np.random.default_rng(0))
    assert sorted(part[:3]) == [0, 1, 2]
    assert np.bincount(part).tolist() == [70, 15, 15]


def test_rows_without_labels_fill_up() -> None:
    part = stratify(np.zeros((10, 1), dtype=np.int8), [0.5, 0.5], np.random.default_rng(0))
    assert np.bincount(part).tolist() == [5, 5]


def test_too_few_patients_of_a_label_are_named(make_pairs: Callable[..., Pairs]) -> None:
    targets = [[1, 0]] * 10 + [[0, 1]] * 2
    with pytest.raises(
        DataError, match="each label needs at least 3 patients, one for each split or fold, got 2 of b"
    ):
        make_split(make_pairs(targets), val=0.2, test=0.2, seed=0)
    with pytest.raises(DataError, match=r"at least 5 patients.*got 2 of b"):
        make_split(make_pairs(targets), val=0.2, test=0.2, seed=0, folds=5)
    with pytest.raises(DataError, match="got 1 of b"):
        make_split(
            make_pairs([[1, 0]] * 3 + [[0, 1]] * 3, patients=["p", "q", "r", "s", "s", "s"]),
            val=0.2,
            test=0.2,
            seed=0,
        )


def test_unknown_labels_cannot_be_split(make_pairs: Callable[..., Pairs]) -> None:
    message = r"every label must be known.*got 1 samples with unknown ones, the first 's1'"
    with pytest.raises(DataError, match=message):
        make_split(make_pairs([[1], [-1], [1]]), val=0.2, test=0.2, seed=0)


@pytest.mark.parametrize(
    ("val", "test", "folds", "fold"), [(0.6, 0.5, 1, 0), (0.0, 0.5, 1, 0), (0.5, 0.2, 2, 0), (0.2, 0.2, 3, 3)]
)
def test_shares_must_leave_something_to_train_on(val: float, test: float, folds: int, fold: int) -> None:
    with pytest.raises(DataError, match="val and test"):
        make_split(PHANTOM, val=val, test=test, seed=0, folds=folds, fold=fold)


def test_a_written_split_is_read_back_in_any_order(tmp_path: Path) -> None:
    frame = make_split(PHANTOM, val=0.2, test=0.2, seed=0, folds=2)
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "split.csv", index=False)
    again = read_split(tmp_path / "split.csv", PHANTOM)
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)


def test_an_edited_split_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    pairs = Phantom(None, variant="ultrasound", num_patients=20).read()
    frame = make_split(pairs, val=0.2, test=0.2, seed=0)
    other = "val" if frame["split"][0] == "train" else "train"
    wrong = [
        (frame.iloc[1:], "each sample of the data set must have a split, got 1 against it, the first '0-0'"),
        (pd.concat([frame, frame.iloc[:1]]), "each sample must stand once"),
        (
            pd.concat([frame, frame.iloc[:1].assign(sample="x")]),
            "each sample must be one of the data set, got 1 against it, the first 'x'",
        ),
        (
            frame.assign(split=[other, *frame["split"][1:]]),
            "all samples of a patient must be in one split, got 1 against it, the first '0'",
        ),
        (
            frame.assign(split=["trian", *frame["split"][1:]]),
            "split must be train, val or test, got 'trian'. Did you mean `train`",
        ),
        (
            frame.assign(split="train"),
            "each split must hold every label, got none in val of vitreous_opacity",
        ),
        (frame.rename(columns={"split": "side"}), "must have these columns, which are missing: `split`"),
    ]
    for changed, message in wrong:
        changed.to_csv(path, index=False)
        with pytest.raises(DataError, match=message):
            read_split(path, pairs)


def test_skipped_samples_may_stand_in_the_file(tmp_path: Path) -> None:
    frame = make_split(PHANTOM, val=0.2, test=0.2, seed=0)
    frame.to_csv(tmp_path / "split.csv", index=False)
    fewer = PHANTOM.subset(np.arange(1, len(PHANTOM)))
    fewer.skipped["bad_image"] = ["0"]
    assert len(read_split(tmp_path / "split.csv", fewer)) == len(PHANTOM) - 1
