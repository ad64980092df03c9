"""Seconds and memory of a report over a large run: 2,000 trials of 500 validation and 500 test patients with 8 labels.

    uv run python benchmarks/report_scale.py [--trials 2000] [--patients 500] [--folder FOLDER]

The run is generated: predictions of random strength, written as the engine writes them; the report is then made in a process
of its own, whose wall time, processor time and greatest resident memory are printed.
"""

import argparse
import json
import os
import sys
import tempfile
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
DIFFERENT = 40  # strengths; predictions are made once each and named anew, which a report cannot see
SPACE = {
    "optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True},
    "model.fusion": {"type": "categorical", "choices": ["concat", "difference", "gated"]},
}


def generate(folder: Path, num_trials: int, num_patients: int) -> None:
    random, store = np.random.default_rng(0), Store(folder)
    truth = {
        split: (random.random((num_patients, len(LABELS))) < PREVALENCE).astype(np.int8)
        for split in ("val", "test")
    }
    study = {
        "study": "scale", "title": "Does a report of a large run stay quick?", "profile": "full", "spec": "{}", "dataset": "odir5k",
        "synthetic": True, "cautions": [], "kind": "multilabel", "labels": LABELS, "num_views": 2, "objective": "macro_average_precision",
        "num_trials": num_trials, "search_space": json.dumps(SPACE), "split_counts": "{}", "skipped": "{}", "ablations": "{}",
    }  # fmt: skip
    store.write_study(dict.fromkeys(STUDY.names) | study)
    made = [predictions(truth, strength, random) for strength in random.uniform(0.3, 2.0, DIFFERENT)]
    rows = [score_rows(splits, "multilabel", LABELS) for splits in made]
    for i in range(num_trials):
        key = f"search-{i:05d}"
        named = [replace(p, trial=key).table() for p in made[i % DIFFERENT]]
        scores = [{**row, "trial": key} for row in rows[i % DIFFERENT]]
        value = next(
            r["value"] for r in scores if (r["split"], r["metric"]) == ("val", "macro_average_precision")
        )
        tables = {"scores": scores, "predictions": pa.concat_tables(named), "epochs": epochs(key, value)}
        store.publish(key, {"trial": [trial(key, i, value, random)], **tables})


def predictions(
    truth: dict[str, np.ndarray], strength: float, random: np.random.Generator
) -> list[Predictions]:
    found = []
    for split, target in truth.items():
        names = [f"{split}-{i}" for i in range(len(target))]
        score = 1 / (1 + np.exp(1.2 - strength * (2.0 * target - 1) - random.normal(size=target.shape)))
        found.append(
            Predictions("", "network", "", split, names, names, target, score.astype(np.float32), True)
        )
    return found


def trial(key: str, number: int, value: float, random: np.random.Generator) -> dict[str, Any]:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=3 * number)
    params = {
        "optimiser.lr": float(10 ** random.uniform(-5, -2)),
        "model.fusion": SPACE["model.fusion"]["choices"][number % 3],
    }
    row = {
        "study": "scale", "trial": key, "role": "search", "number": number, "table": "", "variant": "", "seed": 0, "fold": 0,
        "state": "complete", "outcome": "", "message": "", "params": json.dumps(params), "spec": "{}", "head": "network", "setting": "",
        "objective": "macro_average_precision", "value": value, "best_epoch": 8, "num_epochs": 10, "num_parameters": 11_000_000,
        "seconds_training": 150.0, "seconds_total": 160.0, "device": "cpu", "device_kind": "cpu", "num_devices": 2.0, "provenance": "{}",
        "data_fingerprint": "a" * 64, "split_hash": "b" * 64, "started": started, "ended": started + timedelta(seconds=160),
        "synthetic": True,
    }  # fmt: skip
    return dict.fromkeys(TRIAL.names) | row


def epochs(key: str, value: float) -> list[dict[str, Any]]:
    return [
        {"trial": key, "epoch": e, "train_loss": 0.6 / e, "val_loss": 0.65 / e, "value": value * (1 - 0.5 / e), "lr": 1e-3, "seconds": 15.0,
         "pairs_per_second": 40.0, "synthetic": True}
        for e in range(1, 11)
    ]  # fmt: skip


def measure(folder: Path) -> None:
    began = datetime.now(UTC)
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "study.report", str(folder)], dict(os.environ)
    )
    _, status, used = os.wait4(child, 0)
    assert status == 0
    wall = (datetime.now(UTC) - began).total_seconds()
    size = (folder / "report" / "index.html").stat().st_size
    processor, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(
        f"wall {wall:.0f} s, processor {processor:.0f} s, memory {memory:.0f} MiB, page {size / 1e6:.1f} MB"
    )


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=2000)
    cli.add_argument("--patients", type=int, default=500)
    cli.add_argument(
        "--folder", type=Path, help="keep the generated run there, and use it where it is there already"
    )
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
