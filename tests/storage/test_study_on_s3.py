"""A whole study whose images and results lie on an object store that refuses a share of the requests."""

from pathlib import Path

import pytest
import yaml

from study import predict, report, run
from study.data import source
from study.evidence.store import Store
from tests.commands.test_run import STUDY, cache, odir
from tests.storage.s3 import BUCKET, Server

__all__ = ["cache"]  # a fixture
TRIALS = 3


def num_searched(where: str) -> int:
    return sum(key.startswith("search-") for key in sorted(Store(where).keys()))


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_study_lives_on_an_object_store(
    s3: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "CACHE", tmp_path / "cache")
    folder = odir(tmp_path / "odir")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        s3.client().upload_file(str(path), BUCKET, f"odir/{path.relative_to(folder).as_posix()}")
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({**STUDY, "search": {**STUDY["search"], "trials": TRIALS}}))
    command = [str(file), "--set", f"data.root={s3.uri('odir')}", "--storage", s3.uri("runs")]
    where = s3.uri("runs/small")
    s3.refuses = 0.03

    assert run.main(command) == 0, capsys.readouterr()
    store = Store(where)
    keys = store.keys()
    assert store.problems == []
    assert num_searched(where) == TRIALS
    assert store.read_study()["root"] == s3.uri("odir")
    assert not store.read("trial")["synthetic"].any()

    assert run.main(command) == 0  # there is nothing left to do
    assert Store(where).keys() == keys
    assert run.main([*command, "--set", f"search.trials={TRIALS + 1}", "--extend"]) == 0
    assert num_searched(where) == TRIALS + 1
    assert report.main([where, "--verify"]) == 0, capsys.readouterr()
    assert predict.main([where, "--data", "odir5k", "--root", s3.uri("odir")]) == 0, capsys.readouterr()

    assert run.main([*command, "--fresh"]) == 0
    assert num_searched(where) == TRIALS
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix="runs/", Delimiter="/")
    names = {item["Prefix"] for item in listed["CommonPrefixes"]}
    (aside,) = names - {"runs/small/"}
    assert aside.startswith("runs/small.before-")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("fault", ["bucket", "credentials", pytest.param("region", marks=pytest.mark.slow)])
def test_what_the_store_refuses_for_good_is_said_before_any_training(
    s3: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    storage = s3.uri("runs")
    if fault == "bucket":
        storage = storage.replace("s3://eyes", "s3://missing")
    elif fault == "credentials":
        s3.refuses, s3.refusal = 1.0, "403 Forbidden"
    else:  # where it is not given, the storage is asked, which is not there under its usual name
        storage = "s3://eyes/runs?endpoint_override=127.0.0.1:9&scheme=http"
    assert run.main([str(file), "--storage", storage]) == 2
    captured = capsys.readouterr()
    said = " ".join((captured.err + captured.out).split())
    assert storage.partition("?")[0] in said
    assert "Check its name, its region (`?region=...`) and your credentials" in said
    assert "Traceback" not in said
