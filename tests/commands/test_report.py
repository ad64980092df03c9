import shutil
from pathlib import Path

import pytest

from study.report import main, write_report
from tests.reporting.fake_run import HOSTILE, FakeRun, fake_run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run(tmp_path_factory.mktemp("report") / "small", num_search=6, patients=40)


def test_the_report_lies_in_the_run_and_the_leaderboard_is_printed(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(small)]) == 0
    printed = capsys.readouterr().out
    assert "Leaderboard" in printed
    assert "class prior" in printed
    assert f"Report: {small}/report/index.html" in printed
    assert (small / "report" / "tables" / "leaderboard.tex").is_file()
    assert (small / "report" / "figures" / "history.png").is_file()
    assert (small / "report" / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_out_takes_the_files_elsewhere(small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    assert write_report(run, tmp_path / "there") == f"{tmp_path}/there/index.html"
    assert (tmp_path / "there" / "index.html").is_file()
    assert not (run / "report").exists()


def test_synthetic_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main([str(fake_run(tmp_path / "phantom", num_search=2, patients=20, synthetic=True, hostile=True))])
        == 0
    )
    printed = capsys.readouterr().out
    assert "SYNTHETIC" in printed
    assert HOSTILE not in printed


def test_no_run_is_one_message_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "must be a run's folder" in error
    assert "Traceback" not in error


def test_a_run_without_trials_is_one_message_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeRun(tmp_path / "new", patients=20).study()
    assert main([str(tmp_path / "new")]) == 2
    assert "must hold at least one finished trial" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_message(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(small), "--out", str(tmp_path / "file")]) == 2
    assert "Give another one with --out" in capsys.readouterr().err


def test_why_prints_what_is_behind_a_number(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(small), "--why", "chosen:prior:macro_auc"]) == 0
    printed = capsys.readouterr().out
    assert "chosen:prior:macro_auc = 0.500" in printed
    assert "trials/baseline-prior/predictions.parquet" in printed


def test_verify_passes_on_what_was_written_and_fails_on_what_was_changed(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(small)]) == 0
    assert main([str(small), "--verify"]) == 0
    assert "all as written" in capsys.readouterr().out
    table = small / "report" / "tables" / "split.csv"
    table.write_text(table.read_text().replace("40.0", "41.0"))
    assert main([str(small), "--verify"]) == 1
    printed = capsys.readouterr().out
    assert "split:patients:train: written 41.0, computed 40.0" in printed


def test_verify_without_a_report_is_one_message(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(small), "--verify", "--out", str(tmp_path)]) == 2
    assert "Write the report first" in capsys.readouterr().err


@pytest.mark.slow
def test_several_runs_get_a_page_side_by_side(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(small), str(small), "--out", str(tmp_path)]) == 0
    assert f"Side by side: {tmp_path}/compared.html" in capsys.readouterr().out
    assert (tmp_path / "compared.html").is_file()
    assert (tmp_path / "small (2)" / "index.html").is_file()
