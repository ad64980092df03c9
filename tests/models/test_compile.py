"""Every component and whole networks compile without a graph break and run in bfloat16."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_everything_compiles_without_a_graph_break() -> None:
    script = Path(__file__).with_name("compile_components.py")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    wrong = [line for line in done.stdout.splitlines() if not line.endswith(" ok")]
    assert wrong == []
    assert done.returncode == 0, done.stderr[-2000:]
    assert "loss supcon ok" in done.stdout
