import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from study.report import main
from study.reporting.assembly import build_report, files
from study.reporting.redaction import without_folders
from study.reporting.run import load_run
from tests.reporting.fake_run import PROVENANCE, FakeRun


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/eyes/odir5k", "…/odir5k"),
        (
            "python -m study.run /a/b/s.yaml --set data.root=/data/odir5k/",
            "python -m study.run …/s.yaml --set data.root=…/odir5k",
        ),
        ("cannot be read ('/x/y z')", "cannot be read ('…/y z')"),
        ("~/eyes/odir5k and file:///srv/runs/a", "…/odir5k and …/a"),
        (r"C:\eyes\odir5k", "…/odir5k"),
        ("s3://bucket/runs/a, https://example.org/a/b", "s3://bucket/runs/a, https://example.org/a/b"),
        (
            "and/or 1/2/3 search_spaces/dmsnet.yaml ./a/b /data",
            "and/or 1/2/3 search_spaces/dmsnet.yaml ./a/b /data",
        ),
    ],
)
def test_paths_are_cut_to_their_last_part(text: str, shown: str) -> None:
    assert without_folders(text) == shown


def test_no_folder_of_the_machine_reaches_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = "/home/somebody/private"
    run = FakeRun(tmp_path / "private" / "leaky", patients=30)
    changes = json.dumps({"a.b": f"{private}/w"})
    run.study(
        root=f"{private}/odir5k", title=f"Are the weights in {private}/w.pth good?", profile_changes=changes
    )
    command = {"command": f"python -m study.run {private}/s.yaml", "executable": f"{private}/python"}
    row: dict[str, Any] = {"provenance": json.dumps({**PROVENANCE, **command})}
    for i in range(4):
        key = f"search-{i:05d}"
        row |= {"number": i, "params": json.dumps({"model.backbone.weights": f"{private}/w{i % 2}.pth"})}
        if i == 3:
            row |= {"state": "failed", "outcome": "error", "message": f"no file {private}/gone.jpg"}
        run.trial(key, run.predictions(key, 0.5 + i), **row)
    shutil.copy(
        run.folder / "trials/search-00000/scores.parquet", run.folder / "trials/search-00001/scores.parquet"
    )
    made = files(build_report(load_run(str(run.folder))))
    for name, content in made.items():
        for leak in (b"somebody", str(tmp_path).encode()):
            assert leak not in content, name
    assert "…/w1.pth".encode() in made["tables/leaderboard.csv"]
    assert main([str(run.folder)]) == 0
    capsys.readouterr()
    assert main([str(run.folder), "--verify"]) == 1  # one trial's scores are another one's
    said = capsys.readouterr().out
    assert "trials/search-00001: " in said
    assert "somebody" not in said
