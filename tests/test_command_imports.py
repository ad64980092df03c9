"""Each command loads what it needs and no more: a report on a laptop must not wait for Ray or torch."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)"
TRAINING = {"torch", "torchvision", "timm"}
SEARCH = {"ray", "optuna"}
HEAVY = {*TRAINING, *SEARCH, "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skimage", "PIL"}
FORBIDDEN = {
    "report": {*TRAINING, *SEARCH, "sklearn", "skimage"},
    "audit": {*TRAINING, *SEARCH, "matplotlib", "sklearn", "skimage"},
    "predict": {*SEARCH, "matplotlib", "sklearn", "skimage"},
    "heatmaps": {*SEARCH, "sklearn"},
    "doctor": HEAVY,  # it says which library is broken, so it must start without any of them
}


def loaded_by(module: str) -> set[str]:
    """Packages that a fresh process has loaded after the import of a module."""
    command = [sys.executable, "-c", LOADED, module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("command", FORBIDDEN)
def test_a_command_loads_only_what_it_needs(command: str) -> None:
    loaded = loaded_by(f"study.{command}")
    assert "study" in loaded
    assert not loaded & FORBIDDEN[command]


def test_every_command_is_looked_at() -> None:
    commands = {path.stem for path in (ROOT / "study").glob("*.py") if "def main(" in path.read_text()}
    assert commands == {*FORBIDDEN, "run", "__main__"}  # a run needs all of them
    assert not loaded_by("study") & HEAVY
    assert not loaded_by("study.__main__") & HEAVY
