"""Splits that differ in nothing but images of the test patients."""

import numpy as np
import pytest

from study.data.leaks import BY_IMAGE, BY_NAME, BY_PATIENT, leaking_splits
from study.data.pairs import Pairs, pairs_table
from study.spec.errors import DataError

NUM_PATIENTS = 200


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Two eyes of each patient; patients 2i and 2i + 1 of the first forty are one person."""
    patients = np.repeat([f"p{i}" for i in range(NUM_PATIENTS)], 2).tolist()
    return made(patients, [f"{patient}-{i % 2}" for i, patient in enumerate(patients)])


def made(patients: list[str], samples: list[str]) -> Pairs:
    """Single images with three labels drawn by lot."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (len(samples), 3)).astype(np.int8)
    return Pairs(
        dataset="table",
        labels=("a", "b", "c"),
        kind="multilabel",
        num_views=1,
        table=pairs_table(samples, patients, samples, [None] * len(samples)),
        targets=targets,
        view_targets=targets[:, None],
        synthetic=False,
        root="",
        fingerprint="",
        load=lambda key: np.zeros((1, 1, 3), np.uint8),
    )


@pytest.fixture(scope="module")
def groups(pairs: Pairs) -> np.ndarray:
    number = np.repeat(np.arange(NUM_PATIENTS), 2)
    return np.where(number < 40, number // 2, number)


@pytest.mark.parametrize("seed", range(3))
def test_splits_share_their_test_and_are_equally_large(pairs: Pairs, groups: np.ndarray, seed: int) -> None:
    found = leaking_splits(pairs, groups, val=0.15, test=0.15, seed=seed)
    split = {name: one["split"].to_numpy() for name, one in found.items()}
    for one in split.values():
        for same in ("test", "val"):
            np.testing.assert_array_equal(one == same, split[BY_PATIENT] == same)
        assert (one == "train").sum() == (split[BY_PATIENT] == "train").sum() > 200
        assert not set(groups[one == "val"]) & set(groups[one == "test"])


def test_each_split_leaks_what_its_name_says(pairs: Pairs, groups: np.ndarray) -> None:
    found = leaking_splits(pairs, groups, val=0.15, test=0.15, seed=1)

    def shared(name: str) -> tuple[int, int]:
        """Training images of a test patient by id, and by group."""
        split, patient = found[name]["split"], found[name]["patient"]
        train, test = (split == "train").to_numpy(), (split == "test").to_numpy()
        by_id = patient[train].isin(patient[test]).sum()
        return int(by_id), int(np.isin(groups[train], groups[test]).sum())

    assert shared(BY_PATIENT) == (0, 0)
    by_id, by_group = shared(BY_NAME)
    assert by_id == 0
    assert by_group > 0
    more_by_id, more_by_group = shared(BY_IMAGE)
    assert more_by_id > 20
    assert more_by_group > max(by_group, more_by_id)


def test_patients_with_many_images_leave_too_few_without_a_leak() -> None:
    patients = np.repeat([f"p{i}" for i in range(60)], 10).tolist()
    samples = [f"{patient}-{i}" for i, patient in enumerate(patients)]
    many = made(patients, samples)
    of_patient = np.repeat(np.arange(60), 10)
    with pytest.raises(DataError, match="must show no test patient"):
        leaking_splits(many, of_patient, val=0.15, test=0.15, seed=0)
    found = leaking_splits(many, of_patient, val=0.05, test=0.02, seed=0)
    sizes = {(one["split"] == "train").sum() for one in found.values()}
    assert len(sizes) == 1
