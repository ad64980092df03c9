"""Kendall's tau of two measurements of the same things."""

import math

import pytest

from study.evidence.statistics.agreement import FEWEST, agreement

ORDER = [0.0, 1.0, 2.0, 3.0, 4.0]


def test_tau_counts_the_pairs_that_agree() -> None:
    found = agreement([*ORDER, math.nan], [1.0, 0.0, *ORDER[2:], 0.0])
    assert found is not None
    assert found.num == 5
    assert found.tau == pytest.approx((9 - 1) / 10)
    same = agreement(ORDER, ORDER)
    assert same is not None
    assert same.tau == pytest.approx(1)
    assert same.p_value == pytest.approx(2 / 120)


def test_too_few_things_tell_nothing() -> None:
    assert agreement(ORDER[: FEWEST - 1], ORDER[: FEWEST - 1]) is None
    assert 2 / math.factorial(FEWEST) < 0.05 < 2 / math.factorial(FEWEST - 1)
    level = agreement([1.0] * 5, ORDER)
    assert level is not None
    assert math.isnan(level.tau)
