"""Rows of ablations that were tuned, and rows whose trainings had folds of the patients."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.evidence.predictions import Predictions
from study.reporting.estimates import estimates_of
from study.reporting.paper_table import paper_table
from study.reporting.row_trials import of_variant
from study.reporting.run import load_run
from study.reporting.summary import summary
from study.reporting.table import Origin, Text, Value
from study.reporting.tables.ablations import Ablations
from tests.reporting.fake_run import FakeRun

TUNE = {"parameters": ["optimiser.lr"], "trials": 6}


def fold_of(predictions: list[Predictions], fold: int) -> list[Predictions]:
    """The same predictions of other patients."""
    return [
        replace(part, patient=[f"{fold}-{name}" for name in part.patient]) if part.split == "test" else part
        for part in predictions
    ]


def test_a_tuned_row_says_what_it_chose_and_the_table_how(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "run")
    tuned = {"dmsnet_table3": {"tune": TUNE}, "own": {"tune": TUNE}}
    fake.study(spec=json.dumps({"ablations": tuned}), ablations=json.dumps({"dmsnet_table3": ["osim"]}))
    for table, key in (("dmsnet_table3", "ablation-dmsnet_table3-osim-s0"), ("own", "ablation-own-a-s0")):
        of_row: dict[str, Any] = {"table": table, "params": json.dumps({"optimiser.lr": 0.002})}
        variant = "osim" if table == "dmsnet_table3" else "a"
        fake.trial(key, fake.predictions(key, 1.5), role="ablation", variant=variant, **of_row)
    fake.trial("tune-own-a-00", fake.predictions("tune-own-a-00", 1.5), role="tune", table="own", variant="a")
    run = load_run(str(tmp_path / "run"))
    paper = paper_table(run, "dmsnet_table3")
    assert paper is not None
    assert paper.cell("osim", "line") == Text("ours, lr 0.002")
    sentence = "tried the same 6 settings of lr with its first seed"
    assert any(sentence in remark for remark in paper.remarks)
    own = Ablations().build(run)
    assert own is not None
    assert own.cell("own.a", "variant") == Text("a (lr 0.002)")
    assert any(sentence in remark for remark in own.remarks)
    assert "1 trial of the tuning ended" in " ".join(summary(run))


def test_folds_are_averaged_and_their_patients_resampled_together(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "run")
    fake.study(ablations=json.dumps({"own": ["a"]}))
    for fold, strength in enumerate((0.8, 1.6)):
        key = f"ablation-own-a-s0-f{fold}"
        predicted = fold_of(fake.predictions(key, strength), fold)
        row: dict[str, Any] = {"table": "own", "variant": "a", "fold": fold, "split_hash": f"{fold}" * 64}
        fake.trial(key, predicted, role="ablation", **row)
    run = load_run(str(tmp_path / "run"))
    found = of_variant(run, "own", "a")
    cell = found.cells(run, [("macro_auc", "tuned", "")])[0]
    assert isinstance(cell, Value)
    of_folds = [run.score(trial, "macro_auc") for trial in found.trials]
    assert cell.value == pytest.approx(np.mean(of_folds))
    assert math.isnan(cell.spread)  # one seed: folds are no repeats
    assert cell.low < cell.value < cell.high
    one = [estimates_of(run).of(Origin(trials=(trial,), measure="macro_auc")) for trial in found.trials]
    widths = [estimate.high - estimate.low for estimate in one if estimate]
    assert cell.high - cell.low < max(widths)  # twice the patients
