"""The ensemble of a run: a trial of its own that the leaderboard shows and nothing takes for a network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.engine.applying.apply import chosen_trial
from study.engine.orders.trial_order import Site
from study.engine.search.ensembling import publish_ensemble
from study.engine.training.judge import judge_of
from study.evidence.store import Store
from study.reporting.results import parameter_names
from study.reporting.run import load_run
from study.reporting.table import Text, Value
from study.reporting.tables.leaderboard import Leaderboard
from study.spec.trial_spec import TrialSpec
from tests.reporting.fake_run import FakeRun

SPEC = TrialSpec.read({"data": {"dataset": "odir5k"}, "model": {"backbone": "tiny"}})


def fake_search(folder: Path, num: int) -> FakeRun:
    fake = FakeRun(folder, patients=60)
    fake.study()
    for number in range(num):
        key = f"search-{number:05d}"
        row: dict[str, Any] = {"number": number, "multiply_adds": 7, "spec": json.dumps(SPEC.dump())}
        fake.trial(key, fake.predictions(key, 0.6), **row)
    return fake


def ensemble_of(fake: FakeRun) -> str | None:
    site = Site(
        study="a",
        run=str(fake.folder),
        cache="",
        provenance="{}",
        data_fingerprint="a" * 64,
        split_hash="b" * 64,
    )
    judge = judge_of(SPEC, "multilabel", trains_head=True)
    return publish_ensemble(fake.store, site, SPEC, judge, fake.labels)


def test_the_ensemble_stands_below_the_trials_with_its_members(tmp_path: Path) -> None:
    fake = fake_search(tmp_path / "run", 6)
    key = ensemble_of(fake)
    assert key == "ensemble-00006"
    assert ensemble_of(fake) is None  # it is there
    run = load_run(str(tmp_path / "run"))
    weights = run.of_trial(key, "params")
    assert sum(weights.values()) == pytest.approx(1)
    assert run.of_trial(key, "num_parameters") == 11_200_000 * len(weights)
    assert run.of_trial(key, "value") >= run.trials.loc[list(weights), "value"].max()
    members = [run.predictions(trial) for trial in weights]
    mean = sum(w * m.score.astype(float) for w, m in zip(weights.values(), members, strict=True) if m)
    own = run.predictions(key)
    assert own is not None
    np.testing.assert_allclose(own.score, mean, atol=1e-6)
    table = Leaderboard().build(run)
    assert table is not None
    assert not any(name.startswith("search-") for name in parameter_names(run))
    title = table.cell(key, "configuration")
    assert isinstance(title, Text)
    assert all(trial in title.text for trial in weights)
    cell = table.cell(key, "macro_average_precision")
    assert isinstance(cell, Value)
    assert cell.low < cell.value < cell.high


def test_an_ensemble_is_no_network(tmp_path: Path) -> None:
    fake = fake_search(tmp_path / "run", 4)
    assert ensemble_of(fake) is not None
    assert chosen_trial(fake.store, None).key.startswith("search-")


def test_one_trial_is_no_ensemble(tmp_path: Path) -> None:
    fake = fake_search(tmp_path / "run", 1)
    assert ensemble_of(fake) is None
    assert Store(tmp_path / "run").keys() == ["search-00000"]
