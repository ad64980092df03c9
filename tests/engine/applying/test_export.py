"""A network that was exported gives what the trial gives, without this project."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study.engine.applying.apply import ChosenTrial, chosen_trial, stored_network
from study.engine.applying.export import export_network
from study.evidence.store import Store
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole

SPEC = {
    "data": {"dataset": "odir5k", "phantom_patients": 40, "image_px": 32, "align": "flip_right"},
    "model": {"backbone": "tiny", "fusion": "difference"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
}
LABELS = list("NDGCAHMO")
STRANGER = """
import json, sys, torch
extra = {"settings.json": ""}
program = torch.export.load(sys.argv[1], extra_files=extra)
images = torch.load(sys.argv[2])
torch.save(program.module()(images), sys.argv[3])
assert "study" not in sys.modules
print(json.loads(extra["settings.json"])["labels"])
"""


def test_the_file_gives_the_probabilities_without_this_project(tmp_path: Path) -> None:
    train_whole(order_of(TrialSpec.read(SPEC)), tmp_path / "run", tmp_path / "cache")
    store = Store(tmp_path / "run")
    trial = replace(chosen_trial(store, None), head="network")
    study = {"labels": LABELS, "num_views": 2, "study": "small"}
    distance = export_network(store, trial, study, np.full(8, 0.5), tmp_path / "net.pt2")
    assert distance < 1e-4
    images = torch.rand(5, 2, 3, 32, 32)
    torch.save(images, tmp_path / "images.pt")
    files = [str(tmp_path / name) for name in ("net.pt2", "images.pt", "scores.pt")]
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, *files], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(LABELS)
    net = stored_network(store, trial.key, trial.spec, 8, 2).eval()
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    turned = torch.stack([images[:, 0], images[:, 1].flip(-1)], 1)
    with torch.no_grad():
        wanted = net.head.scores(net((turned - mean) / deviation).logits)
    torch.testing.assert_close(torch.load(files[2]), wanted, atol=1e-4, rtol=0)


def test_a_trial_of_another_head_has_no_network_to_export(tmp_path: Path) -> None:
    trial = ChosenTrial("a", TrialSpec.read(SPEC), "knn")
    with pytest.raises(SpecError, match=r"needs a trial whose network's own head was chosen, got knn for a"):
        export_network(Store(tmp_path), trial, {}, np.full(8, 0.5), tmp_path / "net.pt2")
