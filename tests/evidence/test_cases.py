from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from study.evidence.cases import Case, pick_cases
from study.evidence.predictions import Predictions
from study.spec.errors import SpecError

LABELS = ("N", "D", "G")
TARGET = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=np.int8
)
SCORE = np.array(
    [
        [0.9, 0.1, 0.2],
        [0.1, 0.8, 0.1],
        [0.1, 0.7, 0.9],
        [0.2, 0.6, 0.1],
        [0.1, 0.1, 0.8],
        [0.3, 0.1, 0.2],
        [0.1, 0.6, 0.1],
        [0.1, 0.9, 0.6],
    ]
)
FOUND = Predictions(
    trial="search-00000",
    head="network",
    setting="",
    split="test",
    sample=[f"s{i}" for i in range(8)],
    patient=["p"] * 8,
    target=TARGET,
    score=SCORE.astype(np.float32),
    synthetic=True,
)
RIGHT, WRONG = {"s0", "s1", "s2", "s4"}, {"s3", "s5", "s6", "s7"}


def cases(asked: tuple[str, ...] = (), num_random: int = 4, label: str | None = None) -> list[Case]:
    return pick_cases(FOUND, SCORE > 0.5, LABELS, asked, num_random, label)


def test_right_and_wrong_ones_are_drawn_and_always_the_same() -> None:
    drawn = cases()
    assert len({c.sample for c in drawn} & RIGHT) == len({c.sample for c in drawn} & WRONG) == 2
    assert drawn == cases()
    assert {c.chosen for c in drawn} == {"random"}


def test_where_one_kind_is_short_the_other_fills_up() -> None:
    good = replace(FOUND, score=TARGET.astype(np.float32))
    assert len(pick_cases(good, TARGET > 0, LABELS, (), 6, None)) == 6


def test_the_label_is_the_surest_right_or_the_most_wrong_one() -> None:
    labels = {c.sample: c.label for c in cases(num_random=8)}
    assert labels == {"s0": "N", "s1": "D", "s2": "G", "s4": "G", "s3": "N", "s5": "D", "s6": "G", "s7": "D"}


def test_those_asked_for_come_first_and_are_not_drawn_again() -> None:
    found = cases(("s5", "s0"), 4)
    assert [(c.sample, c.chosen) for c in found[:2]] == [("s5", "asked"), ("s0", "asked")]
    assert len({c.sample for c in found}) == 6


def test_with_a_label_its_hits_misses_and_false_alarms_are_drawn() -> None:
    found = cases(num_random=8, label="D")
    assert {c.sample for c in found} == {"s1", "s2", "s6", "s3", "s5", "s7"}
    assert {c.label for c in found} == {"D"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "X"}, r"`--label`: must be a label of the run, got `X`"),
        ({"asked": ("s9",)}, r"`--sample`: must be a sample of the test split, got `s9`"),
        ({"num_random": 17}, r"`--random`: must lie between 0 and 16"),
        ({"num_random": -1}, r"got -1"),
        ({"num_random": 0}, r"must find a sample to show"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        cases(**arguments)
