import pickle
from typing import Literal, TypeAlias, get_args

import numpy as np
import pytest

from study.data.datasets.phantom import Phantom
from study.data.keywords import LABELS
from study.data.phantom.patients import LABEL_SETS, fundus_patient, graded_patient
from study.spec.components import parse
from study.spec.errors import SpecError

Variant: TypeAlias = Literal["fundus", "grades", "ultrasound"]


@pytest.mark.parametrize("variant", get_args(Variant))
def test_pictures_do_not_depend_on_order_or_on_the_number_of_patients(
    variant: Variant,
) -> None:
    few, many = (Phantom(None, variant=variant, num_patients=n, size_px=48).read() for n in (3, 5))
    key, other = (str(pairs.keys[-1][0]) for pairs in (few, many))
    first = few.load(key)
    many.load(other)
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, pickle.loads(pickle.dumps(many.load))(key))
    assert many.synthetic
    assert np.array_equal(few.targets, many.targets[: len(few)])
    assert few.fingerprint != many.fingerprint


def test_another_seed_draws_other_pictures() -> None:
    first, second = (
        Phantom(None, seed=seed, num_patients=1, size_px=48).read().load("phantom/fundus/0/left")
        for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_each_forty_patients_hold_the_same_labels() -> None:
    targets = Phantom(None, num_patients=120).read().targets
    counts = [block.sum(0).tolist() for block in np.split(targets, 3)]
    assert counts[0] == counts[1] == counts[2]
    assert min(counts[0]) >= 3
    assert sum(counts[0]) == sum(map(len, LABEL_SETS))
    assert not np.array_equal(targets[:40], targets[40:80])


def test_patients_are_the_union_of_their_eyes_except_for_n_and_unequal_eyes() -> None:
    pairs = Phantom(None, num_patients=200).read()
    n, o = LABELS.index("N"), LABELS.index("O")
    unequal = (pairs.view_targets[:, :, o] == -1).all(1)
    assert 0 < unequal.sum() < pairs.targets[:, o].sum()
    assert (pairs.targets[unequal, o] == 1).all()
    union = pairs.view_targets.max(axis=1)
    union[union[:, 1:].any(axis=1), n] = 0
    assert np.array_equal(union[~unequal], pairs.targets[~unequal])
    assert not (pairs.targets[:, n] * pairs.targets[:, 1:].sum(1)).any()


def test_only_unequal_patients_differ_in_pigment() -> None:
    patients = [fundus_patient(0, i) for i in range(200)]
    differences = [abs(p.tones[0] - p.tones[1]) for p in patients if p.unequal]
    assert min(differences) > 0.4
    assert all("O" in p.labels for p in patients if p.unequal)
    assert {p.age is None for p in patients} == {True, False}


def test_the_patients_grade_is_that_of_the_worse_eye_which_shows_more() -> None:
    pairs = Phantom(None, variant="grades", num_patients=40).read()
    grades = pairs.view_targets.argmax(-1)
    assert np.array_equal(grades.max(1), pairs.targets.argmax(1))
    assert graded_patient(0, 0).grades == tuple(grades[0])


def test_a_lesion_is_seen_where_the_label_says() -> None:
    """Naevus: the darkest part of the eye is darker than that of the patient's other eye."""
    pairs = Phantom(None, num_patients=200, size_px=64).read()
    o = LABELS.index("O")
    alone = np.flatnonzero(
        (pairs.targets[:, o] == 1) & (pairs.targets.sum(1) == 1) & (pairs.view_targets[:, :, o].max(1) == 1)
    )
    assert len(alone) > 3
    for i in alone[:4]:
        ill = int(pairs.view_targets[i, :, o].argmax())
        red = [pairs.load(key)[16:48, 16:48, 0] for key in pairs.keys[i]]
        assert np.percentile(red[ill], 5) < 0.7 * np.percentile(red[1 - ill], 5)


def test_eyes_mirror_each_other() -> None:
    """The optic disc, brightest in green, is on the left of a left eye and on the right of a right eye."""
    pairs = Phantom(None, num_patients=40, size_px=64).read()
    healthy = np.flatnonzero(pairs.targets[:, 0] == 1)[:3]
    for i in healthy:
        columns = [pairs.load(key)[16:48, :, 1].astype(int).mean(0) for key in pairs.keys[i]]
        assert columns[0].argmax() < 24
        assert columns[1].argmax() > 40


def test_frames_of_a_patient_share_its_class() -> None:
    pairs = Phantom(None, variant="ultrasound", num_patients=20).read()
    assert (pairs.kind, pairs.num_views) == ("classes", 1)
    frames = pairs.table.assign(label=pairs.targets.argmax(1)).groupby("patient")["label"]
    assert (frames.nunique() == 1).all()
    assert frames.size().between(2, 4).all()
    assert 8 <= frames.first().sum() <= 12


def test_arguments_are_checked() -> None:
    with pytest.raises(SpecError, match=r"phantom.num_patients`: input should be greater than or equal to 1"):
        parse("dataset", {"name": "phantom", "num_patients": 0}, "data.dataset")
    with pytest.raises(SpecError, match="variant`: input should be 'fundus', 'grades' or 'ultrasound'"):
        parse("dataset", {"name": "phantom", "variant": "fundos"}, "data.dataset")
