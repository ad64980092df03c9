"""Makes the features of a frozen ViT-L from a local file, and prints the largest memory it took, in GiB.

    python encode_foundation.py FOLDER PATIENTS

A process of its own measures itself. Another one makes the file of random weights before, with 0 patients.
"""

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from study.engine.training.session import TrainingSession
from study.spec.trial_spec import TrialSpec

NETWORK = "vit_large_patch16_224"
STILL = {"flip": False, "rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}


def encode(folder: Path, num_patients: int) -> None:
    backbone = {"name": NETWORK, "weights": str(folder / "w.safetensors"), "freeze": "all"}
    data = {"dataset": "odir5k", "phantom_patients": num_patients, "image_px": 224, "augmentation": STILL}
    spec = TrialSpec.read({"data": data, "model": {"backbone": backbone}})
    session = TrainingSession.from_spec(spec, folder, torch.device("cpu"))
    assert session.features is not None
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 2**20)  # the system counts in KiB


if __name__ == "__main__":
    torch.set_num_threads(2)
    if int(sys.argv[2]) == 0:
        save_file(timm.create_model(NETWORK).state_dict(), Path(sys.argv[1]) / "w.safetensors")
    else:
        encode(Path(sys.argv[1]), int(sys.argv[2]))
