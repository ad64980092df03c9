"""Scores that are no probabilities: at one half nothing is called, at thresholds of validation much is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_curve

from study.reporting.assembly import build_report, files
from study.reporting.registry import build_table
from study.reporting.run import Run, load_run
from study.reporting.side_by_side import runs_table
from study.reporting.summary import summary
from study.reporting.table import NOTHING, Table, Value
from study.spec.task import ThresholdRule
from tests.reporting.fake_run import FakeRun
from tests.reporting.verified import verified

BEST = "search-00001"
F1 = "at thresholds chosen for each label on validation (greatest F1)"
YOUDEN = "at thresholds chosen for each label on validation (greatest sensitivity + specificity)"


class Uncalibrated(FakeRun):
    """A run whose scores all lie below one half, in the right order."""

    def scores_of(self, split: str, strength: float) -> np.ndarray:
        return 0.4 * super().scores_of(split, strength)


def uncalibrated(folder: Path, rule: ThresholdRule, objective: str = "macro_average_precision") -> Run:
    """A search of two trials, an ablation of two variants and both baselines."""
    fake = Uncalibrated(folder, patients=60)
    fake.objective, fake.thresholds = objective, rule
    fake.study(ablations="{}")
    for number, strength in enumerate((0.6, 1.5)):
        key = f"search-{number:05d}"
        fake.trial(key, fake.predictions(key, strength), number=number)
    for table, variant in (("own", "one"), ("own", "two"), ("dmsnet_table3", "osim")):
        key = f"ablation-{table}-{variant}-s0"
        fake.trial(key, fake.predictions(key, 1.0), role="ablation", table=table, variant=variant)
    fake.trial("baseline-prior", fake.prior("baseline-prior"), role="baseline", variant="prior")
    untrained = fake.predictions("baseline-untrained", 0.1)
    fake.trial("baseline-untrained", untrained, role="baseline", variant="untrained")
    return load_run(str(folder))


@pytest.fixture(scope="module")
def f1(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return uncalibrated(tmp_path_factory.mktemp("runs") / "f1", "f1")


@pytest.fixture(scope="module")
def youden(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of another objective, too, which needs decisions."""
    return uncalibrated(tmp_path_factory.mktemp("runs") / "youden", "youden", "macro_f1")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return uncalibrated(tmp_path_factory.mktemp("runs") / "half", "half")


def build(name: str, run: Run) -> Table:
    table = build_table(name, run)
    assert table is not None
    return table


def number(table: Table, row: str, column: str) -> float:
    cell = table.cell(row, column)
    assert isinstance(cell, Value)
    return cell.value


def called(run: Run, trial: str) -> np.ndarray:
    """What is called on test, at thresholds that are found by trying every score of validation."""
    val, test = (run.predictions(trial, split=split) for split in ("val", "test"))
    assert val is not None
    assert test is not None
    columns = []
    for label in range(len(run.labels)):
        truth, score = val.target[:, label], val.score[:, label].astype(float)
        if run.thresholds == "f1":
            candidates = np.unique(score)
            best = max(candidates, key=lambda t: (f1_score(truth, score >= t, zero_division=0), t))
        else:
            false_alarms, hits, candidates = roc_curve(truth, score, drop_intermediate=False)
            best = candidates[np.argmax(hits - false_alarms)]
        lower = score[score < best].max(initial=0)
        columns.append(test.score[:, label] > (min(best, 1) + lower) / 2)
    return np.stack(columns, axis=1)


def shares(run: Run, trial: str) -> tuple[float, float]:
    """Macro F1 and exact match on test."""
    test, calls = run.predictions(trial), called(run, trial)
    assert test is not None
    exact = (calls == (test.target > 0)).all(axis=1).mean()
    return f1_score(test.target, calls, average="macro", zero_division=0), float(exact)


@pytest.mark.parametrize("name", ["f1", "youden"])
def test_the_chosen_trial_is_shown_at_tuned_thresholds_and_then_at_one_half(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    table = build("chosen", run)
    rows = ["chosen", "untrained", "prior"]
    assert [row.key for row in table.rows] == [key for row in rows for key in (row, f"{row}.half")]
    for row, trial in zip(rows, (BEST, "baseline-untrained", "baseline-prior"), strict=True):
        macro_f1, exact = shares(run, trial)
        assert number(table, row, "macro_f1") == pytest.approx(macro_f1), row
        assert number(table, row, "exact_match") == pytest.approx(exact), row
        assert number(table, f"{row}.half", "macro_f1") == 0
        assert number(table, f"{row}.half", "exact_match") == 0
        assert table.cell(f"{row}.half", "macro_auc") == NOTHING
    assert number(table, "chosen", "macro_f1") > 0.6
    assert (F1 if name == "f1" else YOUDEN) in table.caption


@pytest.mark.parametrize(
    ("name", "row", "column", "trial"),
    [
        ("leaderboard", BEST, "macro_f1", BEST),
        ("leaderboard", "baseline-prior", "macro_f1", "baseline-prior"),
        ("ablations", "own.two", "macro_f1", "ablation-own-two-s0"),
        ("dmsnet_table3", "osim", "f1", "ablation-dmsnet_table3-osim-s0"),
        ("odir_anchors", "ours", "macro_f1", BEST),
        ("odir_anchors", "ours_prior", "macro_f1", "baseline-prior"),
    ],
)
def test_every_table_decides_at_tuned_thresholds(
    f1: Run, name: str, row: str, column: str, trial: str
) -> None:
    table = build(name, f1)
    assert number(table, row, column) == pytest.approx(shares(f1, trial)[0])
    assert F1 in table.caption


def test_heads_are_decided_at_their_own_thresholds(f1: Run) -> None:
    table = build("heads", f1)
    tuned = f1.score(BEST, "macro_f1", head="knn")
    assert number(table, "knn", "macro_f1") == tuned
    assert tuned != f1.score(BEST, "macro_f1", head="knn", decision="half")


def test_the_measures_of_the_odir_challenge_stay_at_one_half_and_are_named(f1: Run, half: Run) -> None:
    table = build("odir_anchors", f1)
    assert number(table, "ours", "kappa") == 0
    assert f"Our decisions {F1}; κ, F1 (flattened), Final score at one half." in table.caption
    assert "Our decisions at one half for every label." in build("odir_anchors", half).caption


def test_errors_and_confusion_are_decided_alike(f1: Run) -> None:
    test = f1.predictions(BEST)
    assert test is not None
    wrong = (called(f1, BEST) != (test.target > 0)).any(axis=1)
    caption = build("errors", f1).caption
    assert f"{wrong.sum()} of 60 samples have at least one wrong label, decided {F1}." in caption
    report = build_report(f1)
    drawing = next(drawing for drawing in report.drawings if drawing.name == "confusion")
    assert drawing.caption.startswith(f"Test split, {BEST}, decided {F1}.")


def test_a_study_at_one_half_has_one_reading(half: Run) -> None:
    table = build("chosen", half)
    assert [row.key for row in table.rows] == ["chosen", "untrained", "prior"]
    assert number(table, "chosen", "macro_f1") == 0
    assert "decided at one half for every label." in table.caption


def test_an_objective_that_decides_follows_the_rule_everywhere(youden: Run) -> None:
    val = youden.predictions(BEST, split="val")
    assert val is not None
    assert youden.best == BEST
    table = build("leaderboard", youden)
    assert number(table, BEST, "validation") == youden.score(BEST, "macro_f1", split="val")
    assert number(build("selection", youden), "naive", "value") == number(table, BEST, "validation")
    assert "Thresholds are chosen once, on all patients" in build("selection", youden).remarks[0]
    assert any(f"Decisions {YOUDEN}." in paragraph for paragraph in summary(youden))


@pytest.mark.parametrize("name", ["f1", "youden", "half"])
def test_stored_scores_and_recomputed_numbers_agree(name: str, request: pytest.FixtureRequest) -> None:
    report = build_report(request.getfixturevalue(name))
    content = files(report)
    found = verified(report, content)
    assert found.differences == ()
    assert found.num_compared > 200


def test_another_rule_than_the_scores_were_stored_by_is_found(f1: Run) -> None:
    report = build_report(replace(f1, study={**f1.study, "thresholds": "youden"}))
    content = files(report)
    differences = verified(report, content).differences
    assert f"leaderboard:{BEST}:macro_f1" in {difference.where for difference in differences}


def test_runs_side_by_side_name_their_own_thresholds(f1: Run, half: Run) -> None:
    table = runs_table([f1, half])
    assert number(table, "0", "macro_f1") == pytest.approx(shares(f1, BEST)[0])
    assert number(table, "1", "macro_f1") == 0
    assert table.caption.endswith(f"f1: Decisions {F1}. half: Decisions at one half for every label.")
    assert runs_table([f1, f1]).caption.endswith(f"Decisions {F1}.")


def test_classes_have_no_thresholds(ultrasound: Run) -> None:
    table = build("chosen", ultrasound)
    assert [row.key for row in table.rows] == ["chosen", "untrained", "prior"]
    assert "threshold" not in table.caption + build("leaderboard", ultrasound).caption
