"""Trials that fail, processes that are lost, memory that runs out: what becomes of trial and study."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from study.engine.orders.messages import Ending, EndMessage
from study.engine.orders.pending_orders import PendingOrders
from study.engine.search.conductor import Conductor
from study.engine.training.outcomes import TimedBatches, TimeLimit, outcome_of
from study.evidence.records import Outcome, Role, State
from study.evidence.store import Store
from study.spec.errors import ClusterError
from tests.engine.fake_study import conduct, learnt, require_whole, run, train


def test_a_lost_process_is_tried_elsewhere_and_given_up_in_the_end(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    conductor = conduct(store)
    order = conductor.next()
    assert order is not None
    conductor.epoch(order.key, learnt(order, 1), judged=True)
    for _ in range(2):
        conductor.lost(order.key, Outcome.ERROR, "the node went away")
        assert conductor.next() == order
    conductor.lost(order.key, Outcome.ERROR, "the node went away")
    record = store.read("trial").iloc[0]
    assert (record["state"], record["outcome"]) == ("failed", "error")
    assert "3 processes ended under it, the last with: the node went away" in record["message"]
    run(conductor)
    require_whole(store)


def test_a_machine_that_cannot_run_a_trial_gives_it_back(tmp_path: Path) -> None:
    store, fault = Store(tmp_path / "a"), EndMessage(Ending.NODE_FAULT, message="m1: no room.")
    conductor = conduct(store)
    order, other = conductor.next(), conductor.next()
    assert order is not None
    assert other is not None
    for _ in range(2):
        conductor.ended(order.key, fault)
        assert conductor.next() == order
    train(conductor, other)  # another machine works, so the study goes on
    for _ in range(2):
        conductor.ended(order.key, fault)
        assert conductor.next() == order
    assert conductor.problem is None
    conductor.ended(order.key, fault)
    assert f"`{order.key}`: could not be run in 3 attempts, the last on m1: no room." in str(
        conductor.problem
    )
    assert conductor.next() is None
    assert [pending.key for pending in PendingOrders(store).orders()] == [order.key]
    run(conduct(store))  # the same command again
    require_whole(store)
    assert set(store.read("trial")["state"]) <= {"complete", "pruned"}


def test_workers_that_cannot_start_wait_for_those_of_other_trials_and_not_for_ever(tmp_path: Path) -> None:
    store, no_room = Store(tmp_path / "a"), EndMessage(Ending.NOT_STARTED, message="no room.")
    conductor = conduct(store)
    order, other = conductor.next(), conductor.next()
    assert order is not None
    assert other is not None
    for _ in range(5):  # the other trial trains, and its place will be free
        conductor.ended(order.key, no_room)
        assert conductor.next() == order
    assert conductor.problem is None
    train(conductor, other)
    for _ in range(2):
        conductor.ended(order.key, no_room)
        assert conductor.next() == order
    conductor.ended(order.key, no_room)
    assert isinstance(conductor.problem, ClusterError)
    assert f"the workers of `{order.key}` must start" in str(conductor.problem)
    assert "Ray says: no room. Finished trials are kept" in str(conductor.problem)
    assert [pending.key for pending in PendingOrders(store).orders()] == [order.key]
    run(conduct(store))  # the same command again
    require_whole(store)
    assert set(store.read("trial")["state"]) <= {"complete", "pruned"}


def test_out_of_memory_goes_on_with_half_the_batch(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    conductor = conduct(store)
    order = conductor.next()
    assert order is not None
    conductor.ended(order.key, failure(Outcome.OUT_OF_MEMORY, "no room for 3 GiB"))
    again = conductor.next()
    assert again is not None
    assert (again.key, again.params) == (order.key, order.params)
    assert (again.trial_spec().training.batch_size, again.trial_spec().training.accumulate) == (16, 2)
    conductor.lost(again.key, Outcome.OUT_OF_MEMORY, "Ray killed it")
    for parts in (4, 8):
        again = conductor.next()
        assert again is not None
        assert again.trial_spec().training.accumulate == parts
        conductor.ended(again.key, failure(Outcome.OUT_OF_MEMORY, "no room"))
    record = store.read("trial").iloc[0]
    assert (record["state"], record["outcome"]) == ("failed", "out_of_memory")
    assert "batches of 16 are worked on in 8 parts" in record["message"]


def test_out_of_memory_can_be_a_failure(tmp_path: Path) -> None:
    conductor = conduct(Store(tmp_path / "a"), **{"resources.on_out_of_memory": "fail"})
    order = conductor.next()
    assert order is not None
    conductor.ended(order.key, failure(Outcome.OUT_OF_MEMORY, "no room"))
    result = conductor.plan.finished[order.key]
    assert (result.role, result.state, result.value) == (Role.SEARCH, State.FAILED, None)


def failure(outcome: Outcome, message: str) -> EndMessage:
    return EndMessage(Ending.FAILED, outcome, message)


def reason(conductor: Conductor) -> str:
    """Why nothing more is given out."""
    return conductor.plan.stopped


def fail(conductor: Conductor, outcome: Outcome, message: str) -> None:
    order = conductor.next()
    assert order is not None
    conductor.ended(order.key, failure(outcome, message))


def test_a_study_whose_trials_all_fail_ends_with_the_common_cause(tmp_path: Path) -> None:
    conductor = conduct(Store(tmp_path / "a"), **{"search.max_consecutive_failures": 3})
    fail(conductor, Outcome.ERROR, "KeyError: 'x'")
    fail(conductor, Outcome.ERROR, "KeyError: 'x'")
    assert reason(conductor) == ""
    fail(conductor, Outcome.NON_FINITE_LOSS, "the loss was nan")
    assert reason(conductor) == "3 trials in a row failed, 2 of them with: error: KeyError: 'x'"
    assert conductor.next() is None
    assert conductor.plan.done
    assert conductor.plan.num_left == 6  # five of the search and the untrained network


def test_rates_that_diverge_do_not_end_a_study_that_has_a_good_trial(tmp_path: Path) -> None:
    conductor = conduct(Store(tmp_path / "a"), **{"search.max_consecutive_failures": 2})
    order = conductor.next()
    assert order is not None
    train(conductor, order)
    for _ in range(4):
        fail(conductor, Outcome.NON_FINITE_LOSS, "the loss was nan")
    assert not conductor.plan.stopped


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (MemoryError(), Outcome.OUT_OF_MEMORY),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"
            ),
            Outcome.OUT_OF_MEMORY,
        ),
        (RuntimeError("shapes cannot be multiplied"), Outcome.ERROR),
        (TimeLimit("the trial took 3 s"), Outcome.TIME_LIMIT),
    ],
)
def test_outcomes_are_labelled(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) == outcome


def test_a_trial_beyond_its_time_ends_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    class Batches(list[Sequence[torch.Tensor]]):
        def set_epoch(self, epoch: int) -> None: ...

    batches = Batches([(torch.zeros(1),), (torch.ones(1),)])
    assert list(TimedBatches(batches, None, 1e9)) == batches
    assert list(TimedBatches(batches, 60, 0)) == batches
    with pytest.raises(TimeLimit, match="took 61 s, allowed are 60 s"):
        list(TimedBatches(batches, 60, 61))
