import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.data.keywords import LABELS, UNUSABLE, eye_labels


@pytest.mark.parametrize(
    ("keywords", "labels"),
    [
        ("normal fundus", "N"),
        ("lens dust，normal fundus", "N"),
        ("laser spot，moderate non proliferative retinopathy", "DO"),
        ("mild nonproliferative retinopathy, cataract", "DC"),
        ("suspected glaucoma", "G"),
        ("dry age-related macular degeneration", "A"),
        ("drusen", "O"),
        ("hypertensive retinopathy,diabetic retinopathy", "DH"),
        ("pathological myopia", "M"),
        ("myopic maculopathy，normal fundus", "M"),
        (" Normal  Fundus ", "N"),
    ],
)
def test_rule(keywords: str, labels: str) -> None:
    assert "".join(np.array(LABELS)[eye_labels(keywords) == 1]) == labels


def test_an_eye_without_a_usable_keyword_is_unknown() -> None:
    assert (eye_labels("low image quality，lens dust") == -1).all()
    assert (eye_labels("") == -1).all()


@given(
    st.lists(st.sampled_from(["normal fundus", "drusen", "cataract", *sorted(UNUSABLE)]), min_size=1),
    st.sampled_from([",", "，"]),
)
def test_n_never_meets_a_disease_and_order_does_not_matter(parts: list[str], comma: str) -> None:
    labels = eye_labels(comma.join(parts))
    assert (labels == eye_labels(comma.join(reversed(parts)))).all()
    assert not (labels[0] == 1 and labels[1:].any())
