"""What a person sees: one line that fits, names that cannot be taken for each other."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from study.engine.search.console import Live
from study.engine.search.plan import TrialResult
from study.evidence.records import Role, State
from study.evidence.store import Store
from tests.engine.fake_study import conduct, ended, epoch_of


@pytest.mark.parametrize(("width", "there"), [(60, False), (80, False), (160, True)])
def test_the_live_line_fits_whole(tmp_path: Path, width: int, there: bool) -> None:
    conductor = conduct(Store(tmp_path / "a"), **{"search.trials": 1000})
    live = Live(
        Console(file=io.StringIO(), width=width, force_terminal=True),
        conductor.plan,
        "macro_average_precision",
    )
    for state in State:
        result = TrialResult(Role.SEARCH, state, 0.5)
        conductor.plan.finished |= {f"search-{n:05d}-{state}": result for n in range(120)}
    live.began -= 3600
    order = conductor.next()
    assert order is not None
    live.started(order)
    live.epoch(order, epoch_of(order.key, 12, 0.5))
    line = live.line()
    assert len(line.plain) <= width
    assert line.plain.startswith("360/1001 done")
    assert "best" in line.plain
    assert line.plain.rstrip(")").endswith("left") != there
    assert ("macro_average_precision" in line.plain) == there
    assert ("search-00000 epoch 12" in line.plain) == there


def test_a_collapsed_trial_says_so_beside_its_configuration(tmp_path: Path) -> None:
    conductor = conduct(Store(tmp_path / "a"))
    shown = io.StringIO()
    live = Live(Console(file=shown, width=160), conductor.plan, "macro_average_precision")
    order = conductor.next()
    assert order is not None
    live.ended(ended(order, State.COMPLETE, [0.1], "collapsed: not better than the class prior", []))
    line = shown.getvalue()
    assert "complete" in line
    assert "collapsed: not better than the class prior, attention none, lr " in line


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_cuts_the_line_of_a_trial(tmp_path: Path, terminal: bool) -> None:
    conductor = conduct(Store(tmp_path / "a"))
    shown = io.StringIO()
    console = Console(file=shown, width=60, force_terminal=terminal, color_system=None)
    order = conductor.next()
    assert order is not None
    Live(console, conductor.plan, "macro_auc").ended(ended(order, State.FAILED, [], "word " * 40 + "end", []))
    assert (" end," in shown.getvalue()) is not terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_quick_trials_leave_a_terminal_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    conductor = conduct(Store(tmp_path / "a"))
    shown = io.StringIO()
    live = Live(Console(file=shown, width=160, force_terminal=terminal), conductor.plan, "macro_auc")
    order = conductor.next()
    assert order is not None
    monkeypatch.setattr(type(conductor.plan), "best", (0.8, {}))
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    for number in range(100):
        clock = 100 + number / 10
        state, value = (State.FAILED, 0.1) if number == 41 else (State.COMPLETE, 0.9 if number == 43 else 0.1)
        live.ended(ended(replace(order, key=f"search-{number:05d}"), state, [value], "", []))
    lines = shown.getvalue().splitlines()
    assert len(lines) == 100 if not terminal else 25 <= len(lines) <= 30
    for key in ("search-00041", "search-00043"):
        assert key in shown.getvalue()
