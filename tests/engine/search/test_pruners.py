"""The pruning rules by hand, and by Optuna's own where it judges the same."""

import warnings

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.pruners import SuccessiveHalvingPruner

from study.engine.search.pruners import Curve, asha, bracket, hyperband, median, none


def curve(number: int, *values: float, epochs: int = 27, complete: bool = False) -> Curve:
    return Curve(number, epochs, dict(enumerate(values, 1)), complete=complete)


def test_asha_keeps_the_best_third_at_its_rungs() -> None:
    others = [curve(n, v, v, v) for n, v in enumerate([0.1, 0.2, 0.3, 0.4, 0.5])]
    rule = asha(1)
    assert [rule(curve(9, 0.0, 0.0, v), 3, others) for v in (0.35, 0.45, 0.55)] == [
        True,
        False,
        False,
    ]  # two of six go on
    assert not rule(curve(9, 0.0, 0.0), 2, others)  # no rung
    assert not rule(curve(9, 0.1), 1, [])  # the first one always goes on
    assert not asha(3)(curve(9, 0.0), 1, others)  # below the first rung


@given(st.lists(st.lists(st.floats(0, 1), min_size=9, max_size=9), min_size=1, max_size=12))
def test_asha_judges_as_optuna_does(values: list[list[float]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            direction="maximize", pruner=SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        )
    rule, curves = asha(1), list[Curve]()
    for number, row in enumerate(values):
        trial, own = study.ask(), Curve(number, 9)
        curves.append(own)
        for epoch, value in enumerate(row, 1):
            trial.report(value, epoch)
            own.values[epoch] = value
            stops = trial.should_prune()
            assert rule(own, epoch, [c for c in curves if c is not own]) == stops
            if stops:
                break


def test_the_median_rule_compares_the_best_so_far() -> None:
    others = [curve(n, v, v, complete=True) for n, v in enumerate([0.2, 0.4, 0.6])]
    rule = median(min_epochs=2, startup=3)
    assert rule(curve(9, 0.3, 0.3), 2, others)
    assert not rule(curve(9, 0.5, 0.3), 2, others)
    assert not rule(curve(9, 0.1), 1, others)
    assert not rule(curve(9, 0.1, 0.1), 2, others[:2])
    assert not rule(
        curve(9, 0.1, 0.1), 2, [*others[:2], curve(5, 0.9, 0.9)]
    )  # an incomplete one does not count


def test_hyperband_has_brackets_that_begin_later() -> None:
    brackets = [bracket(curve(n), 1) for n in range(3000)]
    counts = [brackets.count(b) for b in range(4)]
    assert sum(counts) == 3000
    assert counts == sorted(counts, reverse=True)
    assert counts[3] > 100
    late = curve(brackets.index(1), 0.0, 0.0, 0.0)
    best = [curve(n, 1.0, 1.0, 1.0) for n in range(3000) if brackets[n] == 1 and n != late.number][:5]
    assert not hyperband(1)(late, 1, best)
    assert hyperband(1)(late, 3, best)
    strangers = [curve(n, 1.0, 1.0, 1.0) for n in range(3000) if brackets[n] == 0]
    assert not hyperband(1)(late, 3, strangers)


def test_a_trial_of_few_epochs_has_one_bracket() -> None:
    assert {bracket(curve(n, epochs=2), 1) for n in range(50)} == {0}


@pytest.mark.parametrize("rule", [none, asha(5), median(5, 1), hyperband(5)])
def test_no_rule_stops_before_the_first_epochs(rule: object) -> None:
    others = [curve(n, *[1.0] * 9, complete=True) for n in range(20)]
    assert callable(rule)
    assert not any(rule(curve(30, *[0.0] * epoch), epoch, others) for epoch in (1, 2, 3, 4))
