"""The Optuna journal is a copy of the records that other tools can read; it can always be made again."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.journal import Journal
from study.evidence.records import FinishedTrial, Role, State
from study.spec.study_file import StudySpec
from tests.engine.fake_study import ended, epoch_of, finished_trial

SPEC = StudySpec.read(
    {
        "study": "a",
        "data": {"dataset": "phantom"},
        "model": {"backbone": "tiny"},
        "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    }
)
OBJECTIVES = {"macro_auc": False}


def record(number: int, state: State = State.COMPLETE) -> FinishedTrial:
    return finished_trial(number, {"optimiser.lr": 1e-3}, state)


def order(number: int) -> TrialOrder:
    params = {"optimiser.lr": 2e-3}
    return TrialOrder(key=f"search-{number:05d}", role=Role.SEARCH, spec={}, params=params, number=number)


def seen(path: Path) -> list[tuple[str, TrialState, dict[int, float]]]:
    study = optuna.load_study(study_name="a", storage=JournalStorage(JournalFileBackend(str(path))))
    return [(t.user_attrs["trial"], t.state, t.intermediate_values) for t in study.get_trials()]


def test_a_running_trial_is_seen_live(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    journal = Journal(path, SPEC, OBJECTIVES, [record(0)])
    journal.started(order(1))
    journal.epoch(order(1), epoch_of("search-00001", 1, 0.4))
    assert seen(path) == [
        ("search-00000", TrialState.COMPLETE, {}),
        ("search-00001", TrialState.RUNNING, {1: 0.4}),
    ]
    journal.ended(ended(order(1), State.PRUNED, [0.4], "", []))
    assert seen(path)[1][1] is TrialState.PRUNED


def test_after_a_kill_no_running_trial_is_left_that_nobody_runs(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    first = Journal(path, SPEC, OBJECTIVES, [])
    for number in (0, 1):
        first.started(order(number))
    again = Journal(path, SPEC, OBJECTIVES, [record(0)])  # the first was published, the second goes on
    again.started(order(1))
    again.ended(ended(order(1), State.COMPLETE, [0.7], "", []))
    assert [(key, state) for key, state, _ in seen(path)] == [
        ("search-00000", TrialState.COMPLETE),
        ("search-00001", TrialState.COMPLETE),
    ]


@pytest.mark.parametrize("damage", [b"", b'{"op_code": 4, "wor', b"no json\n"])
def test_a_lost_or_damaged_journal_is_made_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "optuna.log"
    Journal(path, SPEC, OBJECTIVES, [record(0)])
    path.write_bytes(path.read_bytes() + damage if damage else b"")
    Journal(path, SPEC, OBJECTIVES, [record(0), record(1, State.FAILED)])
    assert [(key, state) for key, state, _ in seen(path)] == [
        ("search-00000", TrialState.COMPLETE),
        ("search-00001", TrialState.FAIL),
    ]


def test_a_kill_at_any_line_of_the_journal_leaves_one_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    journal = Journal(path, SPEC, OBJECTIVES, [])
    begun = len(path.read_bytes().splitlines())
    journal.started(order(0))
    journal.epoch(order(0), epoch_of("search-00000", 1, 0.4))
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > begun
    for num in range(1, len(lines) + 1):
        path.write_bytes(b"".join(lines[:num]))
        (tmp_path / "optuna.log.lock").symlink_to(path)  # it was held
        again = Journal(path, SPEC, OBJECTIVES, [])
        again.started(order(0))
        again.ended(ended(order(0), State.COMPLETE, [0.7], "", []))
        assert [(key, state) for key, state, _ in seen(path)] == [("search-00000", TrialState.COMPLETE)]


def test_a_journal_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "nowhere" / "optuna.log", SPEC, OBJECTIVES, [record(0)])
    journal.started(order(1))
    journal.ended(ended(order(1), State.COMPLETE, [0.5], "", []))
    assert not (tmp_path / "nowhere").exists()
