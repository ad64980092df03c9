"""A network is compiled once for all trials of a process that have the same network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.backbones import build_backbone
from study.engine.training.compiling import Compiled
from study.engine.training.workers import bare

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_next_trial_of_the_same_network_compiles_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("compile_twice.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    numbers = [int(line.partition(" ")[0]) for line in done.stdout.splitlines()]
    first, (again, frozen_again) = numbers[:-2], numbers[-2:]
    assert first[1] == 0  # `concat`, the fusion of the first trial
    assert all(number > 0 for i, number in enumerate(first) if i != 1)
    assert sum(first) > 8  # more than torch keeps by itself
    assert again == frozen_again == 0


def test_a_compiled_network_is_found_in_its_wrapper() -> None:
    net = build_backbone("tiny", image_px=32)
    assert bare(Compiled(net, backend="eager")) is net
    assert torch._dynamo.config.recompile_limit > 8
