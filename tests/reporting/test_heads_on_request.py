from pathlib import Path

import numpy as np
import pytest

from study.evidence.ledger import enter_records
from study.evidence.store import Store
from study.report import main
from study.reporting.figures.budget import costs
from study.reporting.paper_table import paper_table
from study.reporting.run import load_run
from study.reporting.table import Value
from study.reporting.tables.heads import Heads
from tests.reporting.svk_run import svk_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = svk_run(tmp_path_factory.mktemp("runs") / "ultrasound")
    enter_records(Store(made))
    return made


def test_heads_are_fitted_on_request_and_fill_the_table_of_classifiers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--heads", "gaussian_nb, svm, knn k=2 votes=uniform"]) == 0
    said = capsys.readouterr().out
    assert "fitting gaussian_nb on the embedding of search-0000" in said
    assert "fitting svm on the embedding of ablation-svkma_figure16-svk_ma-s0" in said
    run = load_run(str(folder))
    table = paper_table(run, "svkma_table7")
    assert table is not None
    cell = table.cell("gaussian_nb", "accuracy")
    assert isinstance(cell, Value)
    network = "ablation-svkma_figure16-svk_ma-s0"
    assert cell.value == run.score(network, "accuracy", head="gaussian_nb")
    assert table.cell("random_forest", "line").text == "ours: not run"
    heads = Heads().build(run)
    assert heads is not None
    fixed = "knn k=2 votes=uniform"
    assert {row.key for row in heads.rows} == {"network", "knn", "gaussian_nb", "svm", fixed}
    assert heads.cell(fixed, "head").text == "KNN with k=2, votes=uniform"
    validation = [
        cell.value for row in heads.rows if isinstance(cell := heads.cell(row.key, "validation"), Value)
    ]
    assert validation == sorted(validation, reverse=True)
    capsys.readouterr()
    assert (
        main([str(folder), "--verify"]) == 1
    )  # the invented values of six trials are not those of their heads
    differences = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trials/")]
    assert len(differences) == 6
    assert all("trial.parquet: value: written" in line for line in differences)


def test_an_unknown_head_is_one_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--heads", "svn"]) == 2
    assert "got `svn`. Did you mean `svm`" in capsys.readouterr().err


def test_gpu_hours_count_the_devices_of_each_trial(folder: Path) -> None:
    trials = load_run(str(folder)).of_role("search")
    assert set(costs(trials)) == {"trials", "minutes"}
    on_gpus = trials.assign(device_kind="cuda", num_devices=np.linspace(0.5, 2, len(trials)))
    np.testing.assert_allclose(costs(on_gpus)["GPU hours"], 44.5 / 3600 * np.linspace(0.5, 2, len(trials)))
    assert "GPU hours" not in costs(on_gpus.assign(device_kind=["cuda"] * (len(trials) - 1) + [""]))
