"""Seconds and memory of a report over a large run: 2,000 trials of 500 validation and 500 test patients.

    uv run python benchmarks/report_scale.py [--trials 2000] [--patients 500] [--folder FOLDER]

The run is generated: its predictions are random, some stronger than others, and its records are written as
the engine writes them. The report is then made in a process of its own, whose wall time, processor time and
greatest resident memory are printed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from study.evidence.predictions import Predictions
from study.evidence.schema import STUDY, TRIAL
from study.evidence.score import score_rows
from study.evidence.store import Store

LABELS = ["N", "D", "G", "C", "A", "H", "M", "O"]
PREVALENCE = np.array([0.33, 0.32, 0.06, 0.06, 0.05, 0.03, 0.05, 0.28])
NUM_STRENGTHS = 40  # predictions are made once for each strength; trials share them under their own keys
FUSIONS = ["concat", "difference", "gated"]
SPACE = {
    "optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True},
    "model.fusion": {"type": "categorical", "choices": FUSIONS},
}
OBJECTIVE = "macro_average_precision"


def generate(folder: Path, num_trials: int, num_patients: int) -> None:
    """Writes the run."""
    random = np.random.default_rng(0)
    store = Store(folder)
    truth = {
        split: (random.random((num_patients, len(LABELS))) < PREVALENCE).astype(np.int8)
        for split in ("val", "test")
    }
    store.write_study(study_row(num_trials))
    made = [predictions(truth, strength, random) for strength in random.uniform(0.3, 2.0, NUM_STRENGTHS)]
    rows = [score_rows(splits, "multilabel", LABELS, "f1") for splits in made]
    for number in range(num_trials):
        key = f"search-{number:05d}"
        kind = number % NUM_STRENGTHS
        scores = [{**row, "trial": key} for row in rows[kind]]
        value = objective_value(rows[kind])
        tables = {
            "trial": [trial_row(key, number, value, random)],
            "scores": scores,
            "predictions": pa.concat_tables(replace(found, trial=key).table() for found in made[kind]),
            "epochs": epoch_rows(key, value),
        }
        store.publish(key, tables)


def study_row(num_trials: int) -> dict[str, Any]:
    """The row of STUDY."""
    row = {
        "study": "scale",
        "title": "Does a report of a large run stay quick?",
        "profile": "full",
        "spec": "{}",
        "dataset": "odir5k",
        "synthetic": True,
        "cautions": [],
        "kind": "multilabel",
        "labels": LABELS,
        "num_views": 2,
        "objective": OBJECTIVE,
        "thresholds": "f1",
        "num_trials": num_trials,
        "search_space": json.dumps(SPACE),
        "split_counts": "{}",
        "skipped": "{}",
        "ablations": "{}",
    }
    return dict.fromkeys(STUDY.names) | row


def predictions(
    truth: Mapping[str, np.ndarray], strength: float, random: np.random.Generator
) -> list[Predictions]:
    """Predictions of both splits that follow the truth with this strength."""
    found = []
    for split, target in truth.items():
        names = [f"{split}-{i}" for i in range(len(target))]
        score = 1 / (1 + np.exp(1.2 - strength * (2.0 * target - 1) - random.normal(size=target.shape)))
        made = Predictions(
            trial="",
            head="network",
            setting="",
            split=split,
            sample=names,
            patient=names,
            target=target,
            score=score.astype(np.float32),
            synthetic=True,
        )
        found.append(made)
    return found


def objective_value(scores: list[dict[str, Any]]) -> float:
    """The objective on validation, from rows of SCORES."""
    wanted = ("val", OBJECTIVE)
    return next(float(row["value"]) for row in scores if (row["split"], row["metric"]) == wanted)


def trial_row(key: str, number: int, value: float, random: np.random.Generator) -> dict[str, Any]:
    """The row of TRIAL."""
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=3 * number)
    params = {"optimiser.lr": float(10 ** random.uniform(-5, -2)), "model.fusion": FUSIONS[number % 3]}
    row = {
        "study": "scale",
        "trial": key,
        "role": "search",
        "number": number,
        "table": "",
        "variant": "",
        "seed": 0,
        "fold": 0,
        "state": "complete",
        "outcome": "",
        "message": "",
        "collapsed": "",
        "params": json.dumps(params),
        "spec": "{}",
        "head": "network",
        "setting": "",
        "objective": OBJECTIVE,
        "value": value,
        "best_epoch": 8,
        "num_epochs": 10,
        "num_parameters": 11_000_000,
        "seconds_training": 150.0,
        "seconds_total": 160.0,
        "device": "cpu",
        "device_kind": "cpu",
        "num_devices": 2.0,
        "provenance": "{}",
        "data_fingerprint": "a" * 64,
        "split_hash": "b" * 64,
        "started": started,
        "ended": started + timedelta(seconds=160),
        "synthetic": True,
    }
    return dict.fromkeys(TRIAL.names) | row


def epoch_rows(key: str, value: float) -> list[dict[str, Any]]:
    """The rows of EPOCHS: ten epochs that come close to the value."""
    return [
        {
            "trial": key,
            "epoch": epoch,
            "train_loss": 0.6 / epoch,
            "val_loss": 0.65 / epoch,
            "value": value * (1 - 0.5 / epoch),
            "lr": 1e-3,
            "seconds": 15.0,
            "pairs_per_second": 40.0,
            "synthetic": True,
        }
        for epoch in range(1, 11)
    ]


def measure(folder: Path) -> None:
    """Makes the report and prints what it took."""
    began = datetime.now(UTC)
    command = [sys.executable, "-m", "study.report", str(folder)]
    child = os.posix_spawn(sys.executable, command, dict(os.environ))
    _, status, used = os.wait4(child, 0)
    assert status == 0
    wall = (datetime.now(UTC) - began).total_seconds()
    megabytes = (folder / "report" / "index.html").stat().st_size / 1e6
    processor = used.ru_utime + used.ru_stime
    memory = used.ru_maxrss / 1024
    print(f"wall {wall:.0f} s, processor {processor:.0f} s, memory {memory:.0f} MiB, page {megabytes:.1f} MB")


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=2000)
    cli.add_argument("--patients", type=int, default=500)
    cli.add_argument("--folder", type=Path, help="keeps the generated run there; a run already there is used")
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)) / "scale"
        if not folder.is_dir():
            generate(folder, args.trials, args.patients)
        rows = 2 * args.trials * args.patients
        print(f"{args.trials:,} trials, {rows:,} prediction rows of {len(LABELS)} labels")
        measure(folder)


if __name__ == "__main__":
    main()
