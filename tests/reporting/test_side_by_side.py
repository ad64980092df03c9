from pathlib import Path

import pytest

from study.evidence.statistics.comparison import paired
from study.evidence.statistics.jackknife import LeftOut
from study.reporting.estimates import estimates_of
from study.reporting.run import Run, load_run
from study.reporting.run_differences import (
    differences_of,
    differences_table,
    forest_of_runs,
    same_patients,
)
from study.reporting.side_by_side import equal_budgets, names_of, runs_table, side_by_side
from study.reporting.significance import ONE_SEED
from study.reporting.table import Origin, Value
from study.spec.errors import SpecError
from tests.reporting.fake_run import FakeRun


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Tested on the same patients as `run`, but hardly trained."""
    fake = FakeRun(tmp_path_factory.mktemp("runs") / "weak")
    fake.study()
    for i in range(5):
        fake.trial(f"search-{i:05d}", fake.predictions(f"search-{i:05d}", 0.1), number=i)
    return load_run(str(fake.folder))


def test_a_row_a_run_with_what_it_chose(run: Run, weak: Run) -> None:
    table = runs_table([run, weak])
    cell = table.cell("0", "macro_auc")
    assert isinstance(cell, Value)
    assert cell.value == run.score(str(run.best), "macro_auc")
    assert table.cell("1", "trials").text == "5"


def test_the_better_of_two_single_trainings_has_a_note_and_is_not_bold(run: Run, weak: Run) -> None:
    assert same_patients([run, weak])
    cells = [cell for _, _, cell in runs_table([weak, run]).cells() if isinstance(cell, Value)]
    assert not any(cell.bold for cell in cells)
    assert ONE_SEED in runs_table([weak, run]).cell("1", "macro_auc").notes
    assert ONE_SEED not in runs_table([weak, run]).cell("0", "macro_auc").notes
    assert not any(ONE_SEED in cell.notes for _, _, cell in runs_table([run, weak]).cells())


def test_budgets_end_where_the_smallest_run_ends(run: Run, weak: Run) -> None:
    trials, minutes = equal_budgets([run, weak])
    assert (trials.unit, minutes.unit) == ("trials", "minutes")
    assert {curve.budget[-1] for curve in trials.curves.values()} == {5}


def test_equal_names_are_numbered(run: Run) -> None:
    assert names_of([run, run]) == ["plain (1)", "plain (2)"]


def test_the_page_has_table_and_figure(run: Run, weak: Run) -> None:
    found = side_by_side([run, weak])
    page = found["compared.html"].decode()
    assert "2 runs side by side" in page
    assert 'id="table-runs"' in page
    assert 'id="figure-equal_budgets"' in page
    assert 'id="table-run_differences"' in page
    assert {"tables/runs.csv", "tables/run_differences.csv", "figures/equal_budgets.png"} <= set(found)
    assert "macro_auc_p_holm" in found["tables/run_differences.csv"].decode().splitlines()[0]


def test_differences_are_paired_over_the_patients_and_the_first_run_has_none(run: Run, weak: Run) -> None:
    runs, tests = [run, weak, run], ["macro_auc", run.objective]
    differences = differences_of(runs, tests)
    assert set(differences) == {(i, measure) for i in (1, 2) for measure in tests}
    ours, theirs = (
        estimates_of(one).of(Origin(trials=(str(one.best),), measure="macro_auc")) for one in (weak, run)
    )
    assert ours is not None
    assert theirs is not None
    assert differences[1, "macro_auc"] == paired(ours, theirs)
    table = differences_table(runs, names_of(runs), tests, differences)
    assert [row.key for row in table.rows] == ["1", "2"]
    same, other = table.cell("2", "macro_auc"), table.cell("1", "macro_auc")
    assert isinstance(same, Value)
    assert same.value == 0
    assert isinstance(other, Value)
    assert other.value == ours.value - theirs.value < 0
    assert other.low < other.value < other.high < 0
    assert other.tested is not None
    assert other.tested.p_value <= other.tested.adjusted < 0.05


def test_the_forest_has_differences_only_on_the_same_patients(run: Run, weak: Run, tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "others", patients=60)
    fake.study()
    fake.trial("search-00000", fake.predictions("search-00000", 1.0), number=0)
    others = load_run(str(fake.folder))
    for runs, words in (
        ([run, weak], "the paired difference from plain on the same patients"),
        ([run, others], "No test between the runs"),
    ):
        drawing = forest_of_runs(runs, names_of(runs), differences_of(runs, [run.objective]))
        assert drawing is not None
        assert words in drawing.caption
        assert ("difference in" in drawing.svg) == (runs[1] is weak)
        assert names_of(runs)[1] in drawing.svg
    assert "run_differences" not in side_by_side([run, others])["compared.html"].decode()


def test_different_kinds_of_data_are_refused(run: Run, ultrasound: Run) -> None:
    with pytest.raises(SpecError, match="must have one kind of data, got multilabel, classes"):
        side_by_side([run, ultrasound])


def test_synthetic_of_one_stamps_all(run: Run, hostile: Run, tmp_path: Path) -> None:
    assert runs_table([run, hostile]).synthetic


def test_runs_whose_estimates_leave_out_other_groups_are_not_compared(run_folder: Path, weak: Run) -> None:
    again = load_run(str(run_folder))
    assert differences_of([weak, again], [again.objective])
    folds = load_run(str(run_folder))  # as if an ablation with folds had tested other patients, too
    found = folds.chosen_predictions()
    assert found is not None
    estimates_of(folds)._left_out["test"] = LeftOut([*found.patient, "another"])
    assert differences_of([weak, folds], [folds.objective]) == {}
