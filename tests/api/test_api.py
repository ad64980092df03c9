"""The Python interface, as a notebook uses it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import study
from study import predict, run
from study.spec.errors import SpecError, StudyError
from tests.commands.test_run import STUDY


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> "study.StudyRun":
    """A small run with everything in it."""
    folder = tmp_path_factory.mktemp("api")
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(run, "CACHE", folder / "cache")
        patch.setattr(predict, "CACHE", folder / "cache")
        return study.run_study(file, {"storage": str(folder / "runs"), "search.trials": 2})


def test_the_names_of_the_package_are_these() -> None:
    assert study.__all__ == ["StudyRun", "TrialNetwork", "open_run", "run_study"]
    assert set(study.__all__) <= set(dir(study))
    with pytest.raises(AttributeError, match="has no attribute 'open_runs'"):
        study.open_runs  # noqa: B018


def test_a_run_is_data_frames(found: "study.StudyRun") -> None:
    assert (found.name, found.kind, found.synthetic) == ("small", "multilabel", True)
    trials = found.trials()
    assert (trials["role"] == "search").sum() == 2
    assert set(found.epochs()["trial"]) <= set(trials["trial"])
    assert found.best in set(trials["trial"])
    assert "trials, best search-0000" in repr(found)
    test = found.predictions(head="network", split="test")
    assert list(test["split"].unique()) == ["test"]
    assert test["patient"].is_unique
    assert {f"score {label}" for label in found.labels} <= set(test)
    scores = found.scores()
    one = scores[
        (scores["trial"] == found.best)
        & (scores["head"] == "network")
        & (scores["split"] == "test")
        & (scores["metric"] == "odir_auc")
    ]
    from sklearn.metrics import roc_auc_score

    target, score = (
        test[[f"{part} {label}" for label in found.labels]].to_numpy() for part in ("target", "score")
    )
    assert roc_auc_score(target.ravel(), score.ravel()) == pytest.approx(float(one["value"].iloc[0]))


def test_tables_and_figures_are_those_of_the_report(found: "study.StudyRun") -> None:
    board = found.table("leaderboard")
    assert isinstance(board, pd.DataFrame)
    assert board[board["row"] == found.best]["rank"].tolist() == [1]
    drawing = found.figure("learning_curves")
    assert drawing.png.startswith(b"\x89PNG")
    assert drawing._repr_svg_().startswith("<svg")
    with pytest.raises(SpecError, match="must be a table of the report, got `leaderbord`"):
        found.table("leaderbord")
    with pytest.raises(SpecError, match="must be a figure of the report, got `curves`"):
        found.figure("curves")
    with pytest.raises(SpecError, match="must be a finished trial, got `search-9`"):
        found.predictions("search-9")


def test_a_network_predicts_what_its_module_gives(
    found: "study.StudyRun", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.places.CACHE", tmp_path / "cache")
    for eye in ("left", "right"):
        pixels = np.random.default_rng(len(eye)).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{eye}.png")
    network = found.network()
    files = tmp_path / "left.png", tmp_path / "right.png"
    images = network.preprocess(*files)
    assert images.shape == (1, 2, 3, 32, 32)
    assert not network.module.training
    said = network.predict(*files)
    assert tuple(said.index) == network.labels == found.labels
    if network.trial.head == "network":
        with torch.no_grad():
            scores = network.module.head.scores(network.module(images).logits)[0]
        np.testing.assert_allclose(said.to_numpy(), scores.numpy(), atol=1e-5)


def test_what_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump({**STUDY, "training": {"epoch": 3}}))
    with pytest.raises(StudyError, match=r"`training.epoch`: unknown key"):
        study.run_study(file)
