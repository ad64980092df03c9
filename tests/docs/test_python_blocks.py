"""The Python of the documentation, run as it is written."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import study
from study import predict, run
from tests.commands.test_run import STUDY
from tests.docs.pages import ROOT, blocks

OWN = ROOT / "docs" / "how-to" / "own-component.md"
READ = ROOT / "docs" / "how-to" / "read-a-run.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small run `runs/dmsnet`, its study file, and two images."""
    folder = tmp_path_factory.mktemp("python")
    file = folder / "search_spaces" / "dmsnet.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump({**STUDY, "study": "dmsnet", "profiles": {"laptop": {}}}))
    for eye in ("left", "right"):
        pixels = np.random.default_rng(len(eye)).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{eye}.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(run, "CACHE", folder / "cache")
        study.run_study(file, {"search.trials": 3}, profile="laptop")
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    for module in (run, predict):
        monkeypatch.setattr(module, "CACHE", folder / "cache")
    monkeypatch.setattr("study.places.CACHE", folder / "cache")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_reading_a_run_works_as_written() -> None:
    names: dict[str, Any] = {}
    for block in blocks(READ, "python"):
        exec(compile(block.text, block.page, "exec"), names)
    assert names["run"].best in set(names["board"]["trial"])
    assert names["drawing"].png.startswith(b"\x89PNG")
    assert names["images"].shape == (1, 2, 3, 32, 32)
    found = names["scores"].query("metric == 'macro_auc' and split == 'test' and head == 'network'")
    assert names["best"].fetchall()[0][1] == round(found["value"].max(), 3)
    assert "search" in set(names["spread"]["role"])
    assert names["epochs"]["epoch"].tolist() == [1, 2]
    assert names["run"].name == "dmsnet"


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_the_notebook_runs_from_top_to_bottom() -> None:
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    names: dict[str, Any] = {}
    for number, cell in enumerate(code):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert names["drawing"].png.startswith(b"\x89PNG")
    assert names["axes"].lines
    names["plt"].close("all")


def test_the_component_of_a_package_is_found_and_keeps_its_contract(tmp_path: Path) -> None:
    files = {block.title: block.text for language in ("python", "toml") for block in blocks(OWN, language)}
    assert files.keys() == {"eyes_product.py", "test_product.py", "pyproject.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = tmp_path / f"eyes_product-{project['version']}.dist-info"  # what an installer makes of the two
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        f"[{group}]\n{name} = {value}\n"
        for group, named in project["entry-points"].items()
        for name, value in named.items()
    ]
    (info / "entry_points.txt").write_text("".join(points))
    (part,) = blocks(OWN, "yaml")
    asked = {"study": "own", "data": {"dataset": "phantom"}, "model": {"backbone": "tiny"}}
    asked["model"] |= yaml.safe_load(part.text)["model"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(asked))
    check = (
        "from pathlib import Path; from study.spec.resolve import resolve; from test_product import *;"
        "test_product_keeps_the_contract_of_a_fusion();"
        "print(list(resolve(Path('own.yaml'), {}, 'auto', has_gpu=False).spec.holes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'model.fusion.product.power'" in done.stdout
