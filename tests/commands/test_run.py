"""`study.run` as a user runs it: a wrong input has one message, and a small study reaches its report."""

from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from study import predict, run
from study.evidence.case_pictures import read_pictures
from study.evidence.predictions import predictions_of
from study.evidence.score import tuned_thresholds
from study.evidence.store import Store

STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
    "model": {"backbone": "tiny", "context": {"type": "categorical", "choices": ["none", "osim"]}},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 2, "warmup_epochs": 0},
    "search": {"trials": 3, "startup": 2, "min_epochs": 1},
    "ablations": {"dmsnet_table3": {"variants": {"none": {"model.context": "none"}}}},
    "resources": {"cpus_per_worker": 1},
    "keep_weights": 1,
    "keep_weights_of": ["dmsnet_table3"],
}
LABELS = "NDGCAHMO"
WHO = ["ID", "Patient Age", "Patient Sex"]
HEADER = [
    *WHO,
    "Left-Fundus",
    "Right-Fundus",
    "Left-Diagnostic Keywords",
    "Right-Diagnostic Keywords",
    *LABELS,
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(predict, "CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def write(folder: Path, study: dict[str, Any] = STUDY) -> str:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(study))
    return str(path)


def odir(folder: Path, num_patients: int = 60, header: list[str] = HEADER, label: int = 1) -> Path:
    """An ODIR-5K folder in the official layout: a patient has one of eight labels, an image is grey."""
    (folder / "Training Images").mkdir(parents=True)
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(header)
    for n in range(num_patients):
        files = [f"{n}_left.jpg", f"{n}_right.jpg"]
        targets = [label if n % 8 == i else 0 for i in range(8)]
        sheet.append([n, 50, "Male", *files, "normal fundus", "normal fundus", *targets][: len(header)])
        for file in files:
            pixels = np.full((40, 40, 3), 40 + n, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "Training Images" / file)
    book.save(folder / "ODIR-5K_Training_Annotations(Updated)_V2.xlsx")
    return folder


def test_a_small_study_runs_from_its_file_to_its_report(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {**STUDY, "storage": f"file://{tmp_path}/runs"})
    assert run.main([path]) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC" in said
    assert "reading images: " in said  # a file has no bar
    store = Store(tmp_path / "runs" / "small")
    trials = store.read("trial")
    roles = sorted(trials.loc[trials["role"] != "ensemble", "role"])  # trials may be better together
    assert roles == ["ablation", "baseline", "baseline", "search", "search", "search"]
    assert set(trials["state"]) <= {"complete", "pruned"}
    assert trials["synthetic"].all()
    page = (tmp_path / "runs" / "small" / "report" / "index.html").read_text()
    assert "SYNTHETIC" in page
    assert 'id="figure-similar_cases"' in page
    assert len(read_pictures(store)) > 8  # two eyes of a query or neighbour each
    for name in ("leaderboard.md", "dmsnet_table3.tex", "dmsnet_table3.csv"):
        assert (tmp_path / "runs" / "small" / "report" / "tables" / name).is_file()
    assert store.problems == []
    kept = {
        path.parent.name for path in (tmp_path / "runs" / "small" / "trials").glob("*/weights.safetensors")
    }
    assert {key.split("-")[0] for key in kept} == {"search", "ablation"}
    assert len(kept) == 2

    before = store.read("trial")["ended"].tolist()
    assert run.main([path]) == 0  # a finished study answers at once and runs nothing
    assert store.read("trial")["ended"].tolist() == before

    assert run.main([path, "--set", "search.trials=4", "--extend"]) == 0
    assert (store.read("trial")["role"] == "search").sum() == 4

    assert run.main([path, "--set", "training.batch_size=8"]) == 2
    assert "training.batch_size" in capsys.readouterr().err

    _apply(tmp_path / "runs" / "small", odir(tmp_path / "odir", 8) / "Training Images", capsys)


def _apply(run_folder: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The chosen trial on the study's own data, and on a patient that it has never seen."""
    assert predict.main([str(run_folder), "--data", "odir5k", "--csv", str(run_folder / "a.csv")]) == 0
    said = capsys.readouterr().out
    require_decided(run_folder, said)
    assert " SYNTHETIC  trained and applied on drawn images" in said
    sent = pd.read_csv(run_folder / "a.csv")
    assert list(sent) == ["ID", *LABELS]
    assert len(sent) == 120
    metrics = pd.read_csv(run_folder / "predictions" / "phantom.metrics.csv", keep_default_na=False)
    assert {"macro_auc", "auc", "mean_score"} <= set(metrics["metric"])
    pair = ["--left", str(images / "1_left.jpg"), "--right", str(images / "1_right.jpg")]
    assert predict.main([str(run_folder), *pair, "--similar", "5"]) == 0
    said = capsys.readouterr().out
    require_one_patient(said)
    assert "Most similar training samples" in said
    assert (run_folder / "predictions" / "1_left.similar.png").is_file()


def require_one_patient(said: str) -> None:
    """Each label has its probability, its threshold and what follows from them."""
    words = said.partition("probability")[2].split()
    rows = np.array(words[2:34]).reshape(8, 4)
    assert words[:2] == ["threshold", "decided"]
    assert sorted(rows[:, 0]) == sorted("NDGCAHMO")
    for _, score, threshold, decided in rows:
        assert score == threshold or (float(score) > float(threshold)) == (decided == "yes")


def require_decided(folder: Path, said: str) -> None:
    """What is written is decided at the trial's own thresholds, and so is the printed exact match."""
    assert "decided at thresholds chosen for each label on validation (greatest F1)" in said
    store, key = Store(folder), said.split(",")[0]
    written = pq.read_table(folder / "predictions" / "phantom.parquet")
    head = written["head"][0].as_py()
    (val,) = predictions_of(store.read_table("predictions", [key], filters={"split": "val", "head": head}))
    thresholds = tuned_thresholds(val, "f1")
    called = np.stack(written["score"].to_numpy()) > thresholds
    assert (np.stack(written["decided"].to_numpy()) == called).all()
    exact = (called == (np.stack(written["target"].to_numpy()) > 0)).all(axis=1).mean()
    assert f"exact_match {exact:.3f}" in " ".join(said.split())


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one message of a command that must end with 2 and without a traceback."""
    assert run.main(argv) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert message.startswith("error `")
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["traning.epochs=3"], "`traning`: unknown key. Did you mean `training`?"),
        (["model.context=osmi"], "Did you mean `osim`?"),
        (
            ["keep_weights_of=[dmsnet_table9]"],
            "must name ablations of the study, got 'dmsnet_table9'. Did you mean `dmsnet_table3`?",
        ),
        (["model.backbone=resnet51"], "Did you mean resnet"),
        (["search.trials={type: int, low: 1, high: 3}"], "`search.trials`: must be one value"),
        (["data.root=/nowhere"], "must be an existing file or folder, got `/nowhere`"),
        (["objective=macro_averge_precision"], "Did you mean `macro_average_precision`?"),
        (
            ["model.head=softmax"],
            "labels of kind multilabel need a head for several labels a sample, got `softmax`",
        ),
        (["loss=cross_entropy"], "`loss`: `cross_entropy` does not fit the head `multi_label`"),
        (["loss={name: focal, gamma: -1}"], "gamma"),
        (
            ["data.dataset=folders", "loss=cross_entropy", "model.head=softmax", "model.fusion=difference"],
            "difference needs both eyes",
        ),
        (["model.backbone={name: resnet18, weights: nowhere.pth}"], "nowhere.pth"),
        (["data.split.val=0.6", "data.split.test=0.6"], "`data.split`: val and test"),
        (["data.split.file=nowhere.csv"], "nowhere.csv"),
        (["storage=/proc/nowhere"], "`storage`: must be a place to write to"),
        (["data.phantom_patients=20"], "each label needs at least 3 patients"),
    ],
)
def test_a_wrong_setting_gets_one_message(
    settings: list[str], expected: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [write(tmp_path), *(word for setting in settings for word in ("--set", setting))]
    assert expected in refused(argv, capsys)


def test_a_missing_study_file_names_the_nearest(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    assert "Did you mean `small.yaml`?" in refused([str(tmp_path / "smal.yaml")], capsys)


def test_weights_that_cannot_be_fetched_say_which_file_to_put_where(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    message = refused(
        [write(tmp_path), "--set", "model.backbone={name: squeezenet1_1, weights: imagenet}"], capsys
    )
    assert "squeezenet1_1" in message
    assert str(tmp_path / "hub") in message


def test_bad_images_are_listed_and_can_be_skipped(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = odir(tmp_path / "odir")
    images = root / "Training Images"
    (images / "0_left.jpg").write_bytes(b"")
    (images / "1_left.jpg").write_bytes((images / "1_left.jpg").read_bytes()[:300])
    (images / "2_left.jpg").write_text("no image")
    for name in ("3_left.jpg", "3_right.jpg"):
        (images / name).unlink()
    (images / "4_left.jpg").unlink()
    argv = [write(tmp_path), "--set", f"data.root={root}"]
    message = refused(argv, capsys)
    assert "every image must be readable, got" in message
    for name in ("0_left.jpg", "1_left.jpg", "2_left.jpg", "3_left.jpg"):
        assert name in message
    assert "4_left.jpg" not in message  # a patient with one eye is no bad image
    assert "data.on_bad_image: skip" in message


def test_a_sheet_without_a_column_names_it(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = odir(tmp_path / "odir", header=[*HEADER[:3], "Left-Fundsu", *HEADER[4:]])
    assert "Left-Fundus" in refused([write(tmp_path), "--set", f"data.root={root}"], capsys)


def test_a_label_outside_its_range_names_the_row(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = odir(tmp_path / "odir", label=2)
    message = refused([write(tmp_path), "--set", f"data.root={root}"], capsys)
    assert "row 2" in message
    assert "must be 0 or 1" in message


def test_too_few_patients_of_a_label_are_counted(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = odir(tmp_path / "odir", num_patients=18)
    message = refused([write(tmp_path), "--set", f"data.root={root}"], capsys)
    assert "each label needs at least 3 patients" in message


def test_an_address_without_a_cluster_is_named(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused([write(tmp_path), "--address", "127.0.0.1:9"], capsys)
    assert (
        "`resources.address`: must be `local`, `auto` or the address of a running cluster, got `127.0.0.1:9`"
        in message
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["nowhere"], "must be a run's folder"),
        (["runs/small", "--left", "nowhere.jpg"], "must be a run's folder"),
    ],
)
def test_predict_says_what_it_needs(
    argv: list[str], expected: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main(argv) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_the_schema_is_written(tmp_path: Path) -> None:
    assert run.main(["--write-schema", str(tmp_path / "schema.json")]) == 0
    assert '"Study file"' in (tmp_path / "schema.json").read_text()
