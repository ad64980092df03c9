"""A foundation model goes over the images in little memory, however many they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.siamese import SiameseNet
from study.engine.training.features import IMAGES_AT_A_TIME
from study.engine.training.session import TrainingSession
from study.spec.trial_spec import TrialSpec

ROOT = Path(__file__).parents[3]
MOST_GIB = 3.0
STILL = {"flip": False, "rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
PATIENTS = 40  # two eyes, as they are and mirrored: 160 images, of which the network sees 32 at a time


def run(folder: Path, num_patients: int) -> str:
    script = Path(__file__).with_name("encode_foundation.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(num_patients)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says it there")
def test_features_of_a_vit_large_take_less_than_3_gib(tmp_path: Path) -> None:
    run(tmp_path, 0)
    found = float(run(tmp_path, PATIENTS))
    assert 1.2 < found < MOST_GIB  # the weights alone take 1.13


@pytest.mark.parametrize(("flips", "most"), [("map", 32), ("image", 30)])
def test_the_network_never_sees_more_images_at_a_time(
    flips: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flipped images count, too, of which a sample of two eyes then has six."""
    seen: list[int] = []
    frozen_maps = SiameseNet.frozen_maps

    def counted(net: SiameseNet, images: Tensor) -> Tensor:
        if not images.is_meta:
            seen.append(images.shape[0] * images.shape[1] * (3 if net.image_flips else 1))
        return frozen_maps(net, images)

    monkeypatch.setattr(SiameseNet, "frozen_maps", counted)
    data = {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32, "augmentation": STILL}
    model = {
        "backbone": {"name": "tiny", "freeze": "all"},
        "attention": {"name": "mirror", "flips": flips},
    }
    spec = TrialSpec.read({"data": data, "model": model})
    assert TrainingSession.from_spec(spec, tmp_path, torch.device("cpu")).features is not None
    assert max(seen) == most <= IMAGES_AT_A_TIME
