import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from study import audit
from study.data.datasets.phantom import Phantom
from study.evidence.store import Store
from study.reporting.registry import build_table
from study.reporting.run import load_run
from study.reporting.table import Value
from study.spec.trial_spec import TrialSpec
from tests.evidence.fakes import study_row, trial_row

NUM = 12


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn patients; 11 has the images of 0, and 10 those of 1 with the eyes exchanged."""
    folder = tmp_path_factory.mktemp("drawn")
    pairs = Phantom(None, variant="grades", num_patients=NUM, size_px=128).read()
    for i in range(NUM):
        for eye in ("left", "right"):
            Image.fromarray(pairs.load(f"phantom/grades/{i}/{eye}")).save(folder / f"{i}_{eye}.png")
    for eye, other in (("left", "right"), ("right", "left")):
        shutil.copy(folder / f"0_{eye}.png", folder / f"{NUM - 1}_{eye}.png")
        shutil.copy(folder / f"1_{other}.png", folder / f"{NUM - 2}_{eye}.png")
    (folder / "5_left.png").write_bytes(b"")
    rows = [(f"[p{i}]", f"{i}_left.png", f"{i}_right.png", i % 2) for i in range(NUM)]
    pd.DataFrame(rows, columns=["patient", "left", "right", "sick"]).to_csv(folder / "eyes.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


DATA = "{name: table, labels: [sick], patient: patient}"


def test_patients_entered_twice_are_listed_and_written(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(["--data", DATA, "--root", str(drawn / "eyes.csv"), "--out", "found.csv"]) == 0
    said = capsys.readouterr().out
    assert "2 patients entered again" in said
    assert "[p0]" in said
    assert "1 of these pairs with left and right exchanged" in said
    assert "1 images that cannot be read: 5_left.png" in said
    found = pd.read_csv(tmp_path / "found.csv")
    assert found.columns.tolist() == ["patient_a", "patient_b", "eyes", "evidence", "distance", "same_labels"]
    sure = found[found["evidence"] == "same file"]
    assert set(zip(sure["patient_a"], sure["patient_b"], strict=True)) == {
        ("[p0]", "[p11]"),
        ("[p1]", "[p10]"),
    }


def test_a_study_file_and_a_split_that_leaks(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"dataset": yaml.safe_load(DATA), "root": str(drawn / "eyes.csv"), "image_px": 32}
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump({"study": "s", "data": data, "model": {"backbone": "tiny"}})
    )
    samples = pd.read_csv(drawn / "eyes.csv")["patient"]
    pd.DataFrame({"sample": samples, "split": ["train"] * 11 + ["test"]}).to_csv("split.csv", index=False)
    assert audit.main(["study.yaml", "--split", "split.csv", "--set", "data.on_bad_image=skip"]) == 0
    said = capsys.readouterr().out
    assert "split.csv: 1 patients in more than one split: it leaks" in said
    assert "[p0], [p11] in train, test" in said


def test_drawn_data_is_called_synthetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--data", "{name: phantom, num_patients: 4}"]) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC" in said
    assert "0 patients entered again" in said


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "give either a study file, or --data with --root"),
        (["a.yaml", "--data", "odir5k"], "give either a study file, or --data"),
        (["nowhere.yaml"], "no such file exists"),
        (["--data", "odir6k"], "Did you mean `odir5k`?"),
        (["--data", "odir5k", "--root", "/nowhere"], "must be an existing file or folder, got `/nowhere`"),
        (["--data", "{name: phantom, num_patients: 4}", "--split", "nowhere.csv"], "nowhere.csv"),
        (
            ["--data", "{name: phantom, num_patients: 4}", "--out", "/nowhere/x.csv"],
            "`--out`: must be a file to write to",
        ),
    ],
)
def test_bad_input_gets_one_message(
    argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(argv) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_the_price_of_a_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = {
        "study": "leak",
        "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
        "model": {"backbone": "tiny"},
        "training": {"epochs": 1, "batch_size": 32, "warmup_epochs": 0},
    }
    (tmp_path / "leak.yaml").write_text(yaml.safe_dump(study))
    assert audit.main(["leak.yaml", "--price", "2"]) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC  What a leak is worth: 2 divisions" in said
    assert max(map(len, said.splitlines())) <= 80
    found = pd.read_csv(tmp_path / "price.csv")
    assert found["training_images"].nunique() == 1
    assert found["synthetic"].all()
    rows = {(row["metric"], row["split"]): row for row in found.to_dict("records")}
    assert len(rows) == 6
    for metric in ("macro_average_precision", "macro_auc"):
        assert rows[metric, "by patient"]["leaked_images"] == 0
        assert math.isnan(rows[metric, "by patient"]["gain"])
        # Nobody is entered twice, so that these two are the same training.
        same = rows[metric, "by patient id"]
        assert (same["leaked_images"], same["gain"]) == (0, 0)
        assert rows[metric, "by image"]["leaked_images"] > 10
        assert rows[metric, "by image"]["gain"] != 0


def test_the_price_of_a_leak_is_kept_in_the_run_whose_network_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = TrialSpec.read(
        {
            "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
            # For one eye, neither a fusion of two nor a loss on each eye beside the patient's has a meaning.
            "model": {"backbone": "tiny", "attention": "se", "fusion": {"name": "casfm", "dim": 16}},
            "training": {"epochs": 1, "batch_size": 32, "warmup_epochs": 0, "eye_weight": 0.5},
        }
    )
    store = Store(tmp_path / "run")
    store.write_study(study_row())
    for key, value in (("search-00000", 0.4), ("search-00001", 0.6)):
        spec = json.dumps(chosen.dump(), default=str)
        store.publish(key, {"trial": [trial_row(key, spec=spec, value=value, provenance="{}")]})
    assert build_table("leakage", load_run("run")) is None
    assert audit.main(["--run", "run", "--price", "2"]) == 0
    assert "python -m study.report run shows it" in capsys.readouterr().out
    assert not (tmp_path / "price.csv").exists()
    table = build_table("leakage", load_run("run"))
    assert table is not None
    assert table.synthetic
    assert "The network of search-00001" in table.caption
    assert "In each of 2 divisions" in table.caption
    assert len(table.rows) == 6
    gains = {row.key: table.cell(row.key, "gain") for row in table.rows}
    same, leaked = (gains[f"macro_auc.{split}"] for split in ("by_patient_id", "by_image"))
    assert isinstance(same, Value)
    assert isinstance(leaked, Value)
    assert same.value == 0
    assert leaked.value != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leak.yaml", "--price", "1"], "at least 2 divisions"),
        (["leak.yaml", "--run", "run", "--price", "2"], "either a study file or --run"),
        (["--run", "run"], "Add --price"),
        (["--run", "run", "--price", "2", "--set", "loss=bce"], "Leave them out"),
        (["--data", "odir5k", "--price"], "a study file"),
    ],
)
def test_a_price_that_cannot_be_found(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(arguments) == 2
    assert message in capsys.readouterr().err
