"""The mean of a patient and of the patient's mirror image, in which the eyes have traded places."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import UInt8

from study import predict as command
from study.data.pairs import Loader, Pairs
from study.data.source import open_dataset
from study.engine.applying.apply import ChosenTrial, chosen_trial, predict
from study.evidence.store import Store
from study.spec import components
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole
from tests.reporting.fake_run import FakeRun

SPEC: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32, "crop": "none"},
    "model": {"backbone": "tiny", "fusion": "concat"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
    "heads": ["knn"],
}
NEW = {"name": "phantom", "variant": "fundus", "num_patients": 40, "seed": 3}


@dataclass(frozen=True)
class Mirrored:
    """Loads photographs as a mirror shows them."""

    load: Loader

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        return np.ascontiguousarray(self.load(key)[:, ::-1])


def in_a_mirror(pairs: Pairs) -> Pairs:
    table = pairs.table.assign(left=pairs.table["right"], right=pairs.table["left"])
    return replace(pairs, table=table, load=Mirrored(pairs.load), fingerprint="in a mirror")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of two trials, the second one with aligned eyes, and with the image cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("mirrored")
    FakeRun(folder / "run", synthetic=True).study(dataset="phantom")
    for number, align in enumerate(("none", "flip_right")):
        spec = TrialSpec.read({**SPEC, "data": {**SPEC["data"], "align": align}})
        train_whole(order_of(spec, f"search-0000{number}", number=number), folder / "run", folder / "cache")
    yield folder
    torch.set_num_threads(threads)


def trial_of(folder: Path, number: int, head: str) -> ChosenTrial:
    return replace(chosen_trial(Store(folder / "run"), f"search-0000{number}"), head=head)


@pytest.mark.parametrize("number", [0, 1], ids=["as photographed", "aligned"])
@pytest.mark.parametrize("head", ["network", "knn"])
def test_a_mirrored_prediction_is_that_of_mirrored_photographs(trained: Path, number: int, head: str) -> None:
    store, trial, cache = Store(trained / "run"), trial_of(trained, number, head), trained / "cache"
    pairs = open_dataset(trial.spec.data)
    found, _, _ = predict(store, trial, pairs, cache, mirrored=True)
    wanted, _, _ = predict(store, trial, in_a_mirror(pairs), cache)
    plain, _, _ = predict(store, trial, pairs, cache)
    near = np.abs(found.score - wanted.score).mean()
    assert near < 2e-3  # grey values are rounded after the photographs are resized
    assert near < 0.1 * np.abs(plain.score - wanted.score).mean()


def test_the_command_says_what_it_averaged(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CACHE", trained / "cache")
    monkeypatch.setenv("COLUMNS", "120")
    key, run = "search-00000", trained / "run"
    trial = chosen_trial(Store(run), key)
    new = ["--trial", key, "--data", json.dumps(NEW)]
    assert command.main([str(run), *new]) == 0
    plain = pd.read_parquet(run / "predictions" / "phantom.parquet")
    assert "mirror image" not in capsys.readouterr().out
    assert command.main([str(run), *new, "--flip"]) == 0
    said = capsys.readouterr().out
    assert "mean with the mirror image" in said.splitlines()[0]
    assert "thresholds are those of the images alone" in said
    assert "here, without" in said
    both = pd.read_parquet(run / "predictions" / "phantom.parquet")
    assert both["setting"].str.endswith("mean with the mirror image").all()
    dataset = components.parse("dataset", NEW, "--data")
    pairs = open_dataset(trial.spec.data.model_copy(update={"dataset": dataset}))
    mirrored, _, _ = predict(Store(run), trial, pairs, trained / "cache", mirrored=True)
    wanted = (np.stack(plain["score"].tolist()) + mirrored.score) / 2
    np.testing.assert_allclose(np.stack(both["score"].tolist()), wanted, atol=1e-6)
    metrics = pd.read_csv(run / "predictions" / "phantom.metrics.csv")
    auc = metrics[metrics["metric"] == "macro_auc"].iloc[0]
    assert auc["value"] != auc["plain_value"]
