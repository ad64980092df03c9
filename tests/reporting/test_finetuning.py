"""The table of fine-tuned trials, and their place among the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.reporting.run import Run, load_run
from study.reporting.table import Value
from study.reporting.tables.finetuning import Finetuning
from study.reporting.tables.leaderboard import Leaderboard
from tests.reporting.fake_run import FakeRun


def run_of(folder: Path, num: int) -> Run:
    """A search of which so many trials were fine-tuned; the last one of them failed."""
    fake = FakeRun(folder / "run", patients=60)
    fake.study()
    for i in range(num + 1):
        key = f"search-{i:05d}"
        params = json.dumps({"optimiser.lr": 10.0 ** -(i + 1)})
        fake.trial(key, fake.predictions(key, 0.4), number=i, value=0.6 - 0.02 * i, params=params)
    for i in range(num):
        key, start = f"finetune-search-{i:05d}", f"search-{i:05d}"
        fake.trial(
            key,
            fake.predictions(key, 1.5),
            role="finetune",
            variant=start,
            value=0.9 - 0.01 * i,
            num_epochs=4,
        )
    key = f"finetune-search-{num:05d}"
    failure: dict[str, Any] = {
        "state": "failed",
        "outcome": "out_of_memory",
        "message": "no room",
        "value": None,
    }
    fake.trial(key, [], role="finetune", variant=f"search-{num:05d}", **failure)
    return load_run(str(folder / "run"))


def test_each_trial_stands_before_and_after_with_the_paired_difference(tmp_path: Path) -> None:
    run = run_of(tmp_path, 3)
    table = Finetuning().build(run)
    assert table is not None
    assert [row.key for row in table.rows] == [f"search-{i:05d}" for i in range(4)]
    assert table.cell("search-00003", "val_tuned").text == "failed"
    for place, key in enumerate(["search-00000", "finetune-search-00000"]):
        name = ("frozen", "tuned")[place]
        value = table.cell("search-00000", f"test_{name}")
        assert isinstance(value, Value)
        assert value.value == pytest.approx(run.score(key, run.objective))
    difference = table.cell("search-00000", "difference")
    assert isinstance(difference, Value)
    scores = [run.score(key, run.objective) for key in ("finetune-search-00000", "search-00000")]
    assert difference.value == pytest.approx(scores[0] - scores[1])
    assert 0 < difference.low < difference.value < difference.high
    assert table.cell("search-00000", "epochs").text == "4"
    assert table.remarks[0].startswith("3 trials: no correlation between the values before and after can be")


def test_five_trials_have_a_rank_correlation(tmp_path: Path) -> None:
    table = Finetuning().build(run_of(tmp_path, 5))
    assert table is not None
    found = [[table.cell(f"search-{i:05d}", f"val_{name}") for i in range(5)] for name in ("frozen", "tuned")]
    frozen, tuned = ([cell.value for cell in cells if isinstance(cell, Value)] for cells in found)
    pairs = [(i, j) for i in range(5) for j in range(i)]
    signs = [(frozen[i] - frozen[j]) * (tuned[i] - tuned[j]) for i, j in pairs]
    tau = sum(1 if sign > 0 else -1 for sign in signs) / len(pairs)
    assert f"(Kendall's τ): {tau:.2f} over 5 trials, p = " in table.remarks[0]


def test_fine_tuned_trials_compete_with_the_search(tmp_path: Path) -> None:
    run = run_of(tmp_path, 3)
    assert run.best == "finetune-search-00000"
    board = Leaderboard().build(run)
    assert board is not None
    assert [row.key for row in board.rows[:4]] == [
        *(f"finetune-search-{i:05d}" for i in range(3)),
        "search-00000",
    ]
    assert any(remark.startswith("A trial named finetune") for remark in board.remarks)


def test_a_study_without_fine_tuning_says_nothing_of_it(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "run", patients=40)
    fake.study()
    fake.trial("search-00000", fake.predictions("search-00000", 1.0), number=0)
    run = load_run(str(tmp_path / "run"))
    board = Leaderboard().build(run)
    assert Finetuning().build(run) is None
    assert board is not None
    assert not any("finetune" in remark for remark in board.remarks)
