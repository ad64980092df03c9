"""Runs trials whose training is compiled, one after another in this process, and prints what each compiled.

It is a script, because the shape checks of the tests cannot be traced."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._dynamo.testing import CompileCounterWithBackend

from study.data.cohort import open_cohort
from study.engine.training import trial
from study.engine.training.compiling import Compiled
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, site_of

STILL = {"flip": False, "rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
FUSIONS = ("concat", "max", "gated", "difference", "bilinear", "sum", "late")


def spec_of(model: Mapping[str, Any], seed: int) -> TrialSpec:
    return TrialSpec.read(
        {
            "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32, "augmentation": STILL},
            "model": {"backbone": "tiny", **model},
            "training": {"epochs": 1, "batch_size": 8, "seed": seed},
        }
    )


def main(folder: Path, counter: CompileCounterWithBackend) -> None:
    frozen = {"backbone": {"name": "tiny", "freeze": "all"}}
    models: list[Mapping[str, Any]] = [{}, *({"fusion": name} for name in FUSIONS), frozen, {}, frozen]
    for number, model in enumerate(models):
        order = order_of(spec_of(model, number), f"search-{number:05}")
        cohort = open_cohort(order.trial_spec().data, folder)
        before, losses = counter.frame_count, []
        for compiles in (True, False):
            site = replace(site_of(folder / str(compiles), folder, cohort), compile=compiles)
            end = trial.run_order(order, site, lambda epoch: False, torch.device("cpu"))
            assert end.objectives, end.message
            losses.append(float(Store(site.run).read("epochs", [order.key])["train_loss"].iloc[0]))
        assert abs(losses[0] - losses[1]) < 1e-4, losses
        print(counter.frame_count - before, model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    counting = CompileCounterWithBackend("eager")
    with mock.patch.object(trial, "Compiled", partial(Compiled, backend=counting)):
        main(Path(sys.argv[1]), counting)
