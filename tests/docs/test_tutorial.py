"""The tutorial, done as it is written: fifty pairs and a sheet become the table that the page promises."""

import csv
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from study.data.pairs import EYES
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import Patient
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs" / "tutorial.md"
INSTALLATION = ["pip install uv"]


def draw_pairs(sheet: Path, num: int) -> None:
    """Drawn eyes with the columns and the names of the tutorial's sheet."""
    (shown,) = blocks(PAGE, "csv")
    columns = next(csv.reader(io.StringIO(shown.text)))
    assert columns == ["patient", "left", "right", "diabetes", "cataract"]
    sheet.parent.mkdir()
    with sheet.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for i in range(1, num + 1):
            letters = "D" * (i % 2 == 0) + "C" * (i % 3 == 1)
            patient = Patient(
                labels=letters,
                findings=(letters, letters),
                grades=(0, 0),
                tones=(i % 7 / 7, i % 7 / 7),
                age=None,
                sex="",
            )
            names = [f"p{i:02d}_{eye}.png" for eye in EYES]
            for eye, name in zip(EYES, names, strict=True):
                Image.fromarray(draw_fundus(patient, 0, i, eye, 128)).save(sheet.parent / name)
            rows.writerow([f"p{i:02d}", *names, int("D" in letters), int("C" in letters)])


def run(line: str, folder: Path) -> str:
    """Runs a command line of the page with this Python, and gives what it says."""
    words = shlex.split(line)
    assert words[:3] == ["uv", "run", "python"], line
    done = subprocess.run(
        [sys.executable, *words[3:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "STUDY_CACHE": str(folder / "cache"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_ends_with_the_table_that_it_promises(tmp_path: Path) -> None:
    (question,) = blocks(PAGE, "yaml")
    (tmp_path / question.title).write_text(question.text)
    draw_pairs(tmp_path / "eyes" / "pairs.csv", 50)
    lines = list(commands(PAGE))
    assert [line for line in lines if not line.startswith("uv run")] == INSTALLATION
    said = {line: run(line, tmp_path) for line in lines if line not in INSTALLATION}
    promised = re.findall(r"`(runs/eyes/[\w./]+\.\w+)`", PAGE.read_text("utf-8"))
    assert len(promised) == 4
    assert [path for path in promised if not (tmp_path / path).is_file()] == []
    table = (tmp_path / "runs/eyes/report/tables/ablations.md").read_text()
    rows = [
        line for line in table.splitlines() if re.match(r"\| (fusion|) \| (concat|difference|max) \|", line)
    ]
    assert len(rows) == 3
    assert all("| 15 |" in row and " to " in row for row in rows), "three seeds of five folds, with intervals"
    answer = next(text for line, text in said.items() if "study.predict" in line)
    assert re.search(r"diabetes +[01]\.\d+", answer)
    why = next(text for line, text in said.items() if "--why" in line)
    assert why.count("trial  ") == 5
