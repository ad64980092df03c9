from pathlib import Path
from typing import Any

import pytest
import yaml

from models.backbones._info import FOUNDATIONS
from study import doctor, places
from study.engine.doctor.machine import Finding, check_machine
from study.spec import components

STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k"},
    "model": {"backbone": {"name": "squeezenet1_1", "weights": "imagenet"}},
}


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(doctor, "check_machine", lambda disks: [Finding("ok", "machine", ", ".join(disks))])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("STUDY_ROOT_ODIR5K", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, content: dict[str, Any]) -> str:
    (folder / "file.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "file.yaml")


def test_each_finding_is_one_line_with_its_remedy(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Finding("ok", "Python", "3.11"),
        Finding("warning", "open files", "[256] " + "x" * 200, "ulimit -n 65536"),
    ]
    monkeypatch.setattr(doctor, "check_machine", lambda disks: found)
    assert doctor.main([]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["ok", "Python", "3.11"]
    assert second == f"warning  open files  [256] {'x' * 200}  -> ulimit -n 65536"


def test_a_problem_ends_with_one(monkeypatch: pytest.MonkeyPatch, healthy: Path) -> None:
    monkeypatch.setattr(doctor, "check_machine", lambda disks: [Finding("problem", "Python", "3.9", "newer")])
    assert doctor.main([]) == 1


def test_this_machine_is_looked_at_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = check_machine({"results": tmp_path})
    assert [f.what for f in found][:3] == ["Python", "libraries", "torch"]
    assert "disk of results" in [f.what for f in found]
    assert all(f.remedy or f.state == "ok" for f in found)


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ({**STUDY, "modle": {}}, [], "`modle`: unknown key. Did you mean `model`?"),
        (STUDY, ["data.root"], "must have the form key.of.the.value=value"),
    ],
)
def test_bad_input_ends_with_two(
    healthy: Path,
    capsys: pytest.CaptureFixture[str],
    content: dict[str, Any],
    settings: list[str],
    expected: str,
) -> None:
    assert doctor.main([write(healthy, content), *(word for s in settings for word in ("--set", s))]) == 2
    assert expected in capsys.readouterr().err


def test_settings_without_a_file_and_a_missing_file_end_with_two(
    healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(["--set", "data.root=x"]) == 2
    assert "must come with a study or cluster file" in capsys.readouterr().err
    assert doctor.main(["nowhere.yaml"]) == 2
    assert "no such file exists" in capsys.readouterr().err


def test_a_study_is_checked_for_data_storage_and_weights(
    healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([write(healthy, STUDY)]) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC images stand in  -> --set data.root=FOLDER, or STUDY_ROOT_ODIR5K" in said
    assert "weights of squeezenet1_1" in said
    assert "-> without a network: --set weights.squeezenet1_1=FILE with the file of https://" in said
    assert f"{healthy}/runs can be written" in said
    assert not (healthy / "runs").exists()


def test_a_frozen_backbone_is_told_its_features_or_why_it_has_none(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = {"name": "tiny", "freeze": "all"}
    study = {**STUDY, "model": {"backbone": backbone}, "training": {"feature_bank": 8}}
    assert doctor.main([write(healthy, study)]) == 0
    assert "tiny at 224 px, frozen: run once for each image, " in capsys.readouterr().out
    assert doctor.main([write(healthy, {**study, "training": {}})]) == 0
    said = capsys.readouterr().out
    assert "run for each image in every epoch, since `data.augmentation` gives ever new images by" in said
    assert "or `training.feature_bank: 8` for so many versions" in said
    monkeypatch.setattr("study.engine.doctor.study.free_disk", lambda folder: 1000)
    assert doctor.main([write(healthy, study)]) == 1
    assert "lower resources.features_gb" in capsys.readouterr().out


def test_a_cluster_file_is_known_by_its_provider(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([write(healthy, {"provider": {"type": "nowhere"}})]) == 1
    assert "schema" in capsys.readouterr().out


def test_broken_libraries_are_a_finding_and_no_crash(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Finding("problem", "study.run", "cannot be imported: undefined symbol")
    monkeypatch.setattr(doctor, "check_import", lambda module: broken)
    doctor.main([write(healthy, STUDY)])
    assert "not checked, since the libraries are broken" in capsys.readouterr().out


def test_components_are_listed_with_arguments_source_and_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert doctor.main(["--components"]) == 0
    said = capsys.readouterr().out
    listed = said.split("\n\n")
    for kind, part in zip(("backbone", *components.FOLDERS), listed, strict=True):
        assert part.startswith(f"{kind}\n")
        for name in FOUNDATIONS if kind == "backbone" else components.names(kind):
            assert f"\n  {name}  " in part
            assert "\n      Source: " in part.partition(f"\n  {name}  ")[2]
    place = said.index("\n  cbam  ")
    cbam = said[place : said.index("\n  channel  ")]
    assert "reduction: int = 16" in cbam
    assert "kernel: 3 | 5 | 7 = 7" in cbam
    assert "Source: Woo et al. 2018" in cbam
    assert "Differs: " in cbam
    assert "labels: list of str\n" in said
    assert not [line for line in said.splitlines() if line.strip() in ("Source:", "Differs:")]


def test_the_folder_of_the_image_caches_is_looked_at(
    healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([]) == 0
    assert "results, Ray, images" in capsys.readouterr().out
    assert places.CACHE.is_absolute()
