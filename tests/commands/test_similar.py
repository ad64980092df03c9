"""`study.predict --similar` as a user runs it, on a trial that was really trained."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from study import predict
from study.data.source import open_dataset
from study.evidence.similar import known_cases
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole
from tests.reporting.fake_run import FakeRun

KEY = "search-00000"
SPEC: dict[str, Any] = {
    "task": {"name": "retrieval", "distance": "euclidean"},
    "data": {"dataset": "eyepacs", "phantom_patients": 60, "image_px": 32, "unit": "eye"},
    "model": {"backbone": "tiny", "head": "softmax"},
    "loss": "cross_entropy",
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("similar")
    spec = TrialSpec.read(SPEC)
    pairs = open_dataset(spec.data)
    FakeRun(folder / "run", synthetic=True, kind="grades").study(
        dataset="phantom", labels=list(pairs.labels), num_views=1
    )
    train_whole(order_of(spec), folder / "run", folder / "cache")
    yield folder / "run"
    torch.set_num_threads(before)


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(predict, "CACHE", trained.parent / "cache")
    monkeypatch.setenv("COLUMNS", "80")
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def eye(tmp_path: Path) -> Path:
    """The photograph of a new patient."""
    pairs = open_dataset(TrialSpec.read(SPEC).data)
    path = tmp_path / "new_eye.png"
    Image.fromarray(pairs.load(str(pairs.keys[0][0]))).save(path)
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert predict.main(arguments) == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_new_eye_has_similar_cases(run: Path, eye: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(run), "--left", str(eye), "--similar", "7"]) == 0
    said = capsys.readouterr().out
    assert "Most similar training samples (euclidean distance)" in said
    assert max(map(len, said.split("similar cases:")[0].splitlines())) <= 80
    table = pd.read_parquet(run / "predictions" / "new_eye.similar.parquet")
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert table["distance"].is_monotonic_increasing
    assert set(table["sample"]) == {"new_eye"}
    assert table["labels"].isna().all()
    known = known_cases(Store(run), KEY)
    assert known is not None
    assert set(table["neighbour"]) <= set(known.sample)
    for row in table.itertuples():
        assert f"{row.distance:.3f}" in said
        assert str(row.neighbour) in said
    with Image.open(run / "predictions" / "new_eye.similar.png") as sheet:
        assert sheet.width > 500
        assert np.asarray(sheet).std() > 10
    assert not (run / "predictions" / "files.parquet").exists()


def test_a_training_sample_among_the_new_ones_finds_other_patients(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.parquet"
    assert predict.main([str(run), "--data", "eyepacs", "--similar", "5", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "(5 of 120 samples; the file has all)" in said
    assert f"contact sheet of the first 20 samples: {tmp_path}/mine.similar.png" in said
    table = pd.read_parquet(tmp_path / "mine.similar.parquet")
    known = known_cases(Store(run), KEY)
    assert known is not None
    patient = dict(zip(known.sample, known.patient, strict=True))
    asked = table[table["sample"].isin(known.sample)]
    assert len(asked) == 5 * len(known.sample)
    assert (asked["sample"].map(patient) != asked["neighbour"].map(patient)).all()
    same = [list(a) == list(b) for a, b in zip(table["labels"], table["neighbour_labels"], strict=True)]
    assert table["same"].tolist() == same


def test_the_table_stands_where_the_photographs_are_gone(
    run: Path, eye: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_ROOT_EYEPACS", str(run / "nowhere"))
    assert predict.main([str(run), "--left", str(eye), "--similar", "3"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Most similar training samples" in said
    assert "no contact sheet: `STUDY_ROOT_EYEPACS`: must be an existing file or folder" in said
    assert not (run / "predictions" / "new_eye.similar.png").exists()
    assert (run / "predictions" / "new_eye.similar.parquet").exists()


def test_wrong_numbers_are_refused_before_any_work(
    run: Path, eye: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(run).delete_weights(KEY)  # with which the work would begin
    new = [str(run), "--left", str(eye), "--similar"]
    assert "`--similar`: must be 1 or more, got 0. For example: --similar 5" in refused([*new, "0"], capsys)
    known = known_cases(Store(run), KEY)
    assert known is not None
    num = len(known.sample)
    message = f"`--similar`: must be at most {num}, the number of labelled training samples of {KEY}, got"
    assert f"{message} {num + 1}" in refused([*new, str(num + 1)], capsys)
    assert "must have its weights" in refused([*new, str(num)], capsys)


def test_a_run_without_embeddings_is_refused(
    run: Path, eye: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "trials" / KEY / "embeddings.parquet").unlink()
    said = refused([str(run), "--left", str(eye), "--similar", "5"], capsys)
    assert "must find the embeddings of labelled training samples" in said
    assert "Take another trial with --trial." in said
