"""The plan: what runs next, and what the sampler is told."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from optuna.trial import TrialState

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.following import UNTRAINED
from study.engine.search.plan import Plan
from study.evidence.records import FinishedTrial, Role, State
from study.spec.study_file import StudySpec
from tests.engine.fake_study import finished_trial

KERNEL = {"type": "int", "low": 1, "high": 3, "step": 2}
FILE: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {
        "backbone": "tiny",
        "context": {"type": "categorical", "choices": ["none", {"name": "osim", "kernel": KERNEL}]},
    },
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "search": {"trials": 6, "startup": 2, "pruner": "median", "min_epochs": 2, "seed": 4},
    "ablations": {
        "table": {
            "seeds": [0, 1],
            "variants": {"none": {"model.context": "none"}, "cbam": {"model.attention": "cbam"}},
        }
    },
}


def plan(
    finished: Sequence[FinishedTrial] = (),
    curves: Mapping[str, Mapping[int, float]] | None = None,
    interrupted: Sequence[TrialOrder] = (),
    **changes: Any,
) -> Plan:
    return Plan(StudySpec.read({**FILE, **changes}), finished, curves or {}, interrupted)


def rate_of(order: TrialOrder) -> float:
    rate = order.params["optimiser.lr"]
    assert isinstance(rate, float)
    return rate


def run_search(p: Plan, num: int) -> list[str]:
    """Runs trials of the search one after the other; the best rate is 0.001."""
    keys = []
    for _ in range(num):
        order = p.next()
        assert order is not None
        keys.append(order.key)
        p.finish(order.key, State.COMPLETE, [1 - abs(rate_of(order) - 1e-3)])
    return keys


def test_the_search_then_ablations_on_the_best_then_the_untrained_network() -> None:
    p = plan()
    assert p.num_left == 6 + 4 + 1
    assert run_search(p, 6) == [f"search-{n:05d}" for n in range(6)]
    assert p.best is not None
    best = p.best[1]
    orders = []
    while (order := p.next()) is not None:
        orders.append(order)
    assert not p.done  # the process of any may die, and then it comes back
    for order in orders:
        p.finish(order.key, State.COMPLETE, [0.5])
    assert p.done
    ablations = [f"ablation-table-{variant}-s{seed}" for variant in ("none", "cbam") for seed in (0, 1)]
    assert [o.key for o in orders] == [*ablations, UNTRAINED]
    assert {o.trial_spec().optimiser.lr for o in orders} == {best["optimiser.lr"]}
    assert [o.trial_spec().training.seed for o in orders[:2]] == [0, 1]
    assert orders[2].trial_spec().model.attention.name == "cbam"
    assert [o.trains for o in orders] == [True] * 4 + [False]


def test_ablations_wait_for_the_search() -> None:
    p = plan()
    run_search(p, 5)
    last = p.next()
    assert last is not None
    assert p.next() is None
    assert not p.done
    p.finish(last.key, State.FAILED)
    following = p.next()
    assert following is not None
    assert following.role is Role.ABLATION


def test_the_sampler_is_told_how_each_trial_ended() -> None:
    p = plan()
    states = [State.COMPLETE, State.PRUNED, State.FAILED, State.COMPLETE]
    for state in states:
        order = p.next()
        assert order is not None
        p.finish(order.key, state, [0.5] if state is State.COMPLETE else [])
    told = [t.state for t in p._suggestions._study.get_trials(deepcopy=False)]
    assert told == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE]


def test_a_non_finite_value_is_a_failure() -> None:
    p = plan()
    order = p.next()
    assert order is not None
    p.finish(order.key, State.COMPLETE, [float("nan")])
    assert p._suggestions._study.get_trials(deepcopy=False)[0].state is TrialState.FAIL
    assert p.best is None


def test_a_poor_trial_is_stopped_and_ablations_never_are() -> None:
    p = plan()
    for value in (0.9, 0.9):
        order = p.next()
        assert order is not None
        assert not any(p.report(order.key, epoch, value) for epoch in (1, 2, 3))
        p.finish(order.key, State.COMPLETE, [value])
    poor = p.next()
    assert poor is not None
    assert not p.report(poor.key, 1, 0.1)  # min_epochs
    assert p.report(poor.key, 2, 0.1)
    assert p.was_stopped(poor.key)
    p.finish(poor.key, State.PRUNED, [0.1])
    run_search(p, 3)
    ablation = p.next()
    assert ablation is not None
    assert not p.report(ablation.key, 3, 0.0)


def test_the_records_alone_are_enough_to_go_on() -> None:
    undisturbed = plan()
    run_search(undisturbed, 3)
    trials = undisturbed._suggestions._study.get_trials()
    finished = [finished_trial(n, t.params, value=t.values[0]) for n, t in enumerate(trials)]
    finished.append(finished_trial(3, {"model.context": "none", "optimiser.lr": 2e-3}, State.PRUNED))
    again = plan(finished, {"search-00003": {1: 0.2}})
    assert [t.state for t in again._suggestions._study.get_trials()] == [TrialState.COMPLETE] * 3 + [
        TrialState.PRUNED
    ]
    assert again._suggestions._study.get_trials()[3].intermediate_values == {1: 0.2}
    assert again.best == undisturbed.best
    assert run_search(again, 2) == ["search-00004", "search-00005"]


def test_an_interrupted_trial_goes_on_with_its_number_and_parameters() -> None:
    first = plan()
    run_search(first, 1)
    order = first.next()
    assert order is not None
    before = finished_trial(0, first._suggestions._study.get_trials()[0].params)
    again = plan([before], interrupted=[order])
    assert again.num_left == first.num_left + 1
    resumed = again.next()
    assert resumed == order
    assert [t.params for t in again._suggestions._study.get_trials()][1] == order.params
    again.finish(order.key, State.COMPLETE, [0.7])
    assert run_search(again, 4)[-1] == "search-00005"
    assert [t.state for t in again._suggestions._study.get_trials()] == [TrialState.COMPLETE] * 6


def test_a_finished_study_has_nothing_left() -> None:
    p = plan(ablations={})
    run_search(p, 6)
    untrained = p.next()
    assert untrained is not None
    p.finish(untrained.key, State.COMPLETE, [0.1])
    assert p.num_left == 0
    assert p.done
    assert p.next() is None


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_suggests_the_same_trials(sampler: str, pruner: str) -> None:
    search = {"trials": 5, "startup": 2, "sampler": sampler, "pruner": pruner, "seed": 7}
    suggested = []
    for _ in range(2):
        p = plan(search=search)
        run_search(p, 5)
        suggested.append([t.params for t in p._suggestions._study.get_trials()])
    assert suggested[0] == suggested[1]
