"""A run folder as the engine would have left it, with numbers from a random generator: small, quick, and nasty where asked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.evidence.decisions import decide, tune_thresholds
from study.evidence.metrics import metrics_of, values
from study.evidence.schema import STUDY, TABLES

ODIR = ("N", "D", "G", "C", "A", "H", "M", "O")
PREVALENCE = np.array([0.33, 0.32, 0.06, 0.06, 0.05, 0.03, 0.05, 0.28])
HOSTILE = '<script>alert("x")</script> & 100%_$#{~}^\\ |pipe|'
BACKBONES, FUSIONS = ("resnet18", "mobilenet_v2", "squeezenet1_1"), ("concat", "difference", "gated")
TABLE3 = {"osim": 1.7, "aspp": 1.5, "spp": 1.6, "rfb": 1.55, "our_own": 1.65}


class FakeRun:
    """Writes one run folder; the strength of a trial says how well its scores follow the truth."""

    def __init__(self, folder: Path, *, patients: int = 90, synthetic: bool = False, kind: str = "multilabel", seed: int = 0) -> None:
        self.folder, self.patients, self.synthetic, self.kind = folder, patients, synthetic, kind
        self.labels = ODIR if kind == "multilabel" else ("VO", "PVD") if kind == "classes" else ("0", "1", "2", "3", "4")
        self.random = np.random.default_rng(seed)
        self.truth = {split: self._truth(patients) for split in ("train", "val", "test")}
        self.noise = {split: self.random.normal(size=(patients, len(self.labels))) for split in self.truth}
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.num_trials = 0

    def _truth(self, num: int) -> np.ndarray:
        if self.kind != "multilabel":
            return np.eye(len(self.labels), dtype=np.int8)[self.random.integers(len(self.labels), size=num)]
        target = (self.random.random((num, len(self.labels))) < PREVALENCE).astype(np.int8)
        target[:8] = np.eye(8, dtype=np.int8)
        target[:, 0] = target[:, 1:].sum(axis=1) == 0
        return target

    def write(self, table: str, key: str, rows: list[dict[str, Any]]) -> None:
        """One Parquet file of a trial, with the columns of the schema."""
        folder = self.folder / "trials" / key
        folder.mkdir(parents=True, exist_ok=True)
        known = TABLES[table].names
        rows = [{"synthetic": self.synthetic, **{k: v for k, v in row.items() if k in known}} for row in rows]
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[table]), folder / f"{table}.parquet")

    def study(self, **overrides: Any) -> None:
        """The row of the study itself."""
        counts = {s: {"patients": self.patients, "samples": self.patients, **self._label_counts(s)} for s in self.truth}
        row = {
            "study": self.folder.name, "title": "Which fusion reads both eyes best?", "identity": "f" * 64, "profile": "laptop",
            "profile_changes": json.dumps({"training.epochs": 5, "data.image_px": 96}), "spec": json.dumps({"search": {"trials": 12}}),
            "dataset": "odir5k", "root": "" if self.synthetic else "/data/odir5k", "synthetic": self.synthetic, "kind": self.kind,
            "labels": list(self.labels), "num_views": 2, "data_fingerprint": "a" * 64, "split_hash": "b" * 64,
            "split_counts": json.dumps(counts), "skipped": json.dumps({"one eye only": ["p1", "p2"]}),
            "objective": "macro_average_precision" if self.kind == "multilabel" else "balanced_accuracy", "num_trials": 12,
            "search_space": json.dumps({"optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
                                        "model.backbone": {"type": "choice", "choices": list(BACKBONES)},
                                        "model.fusion": {"type": "choice", "choices": list(FUSIONS)}}),
            "ablations": json.dumps({"dmsnet_table3": list(TABLE3)}), **overrides,
        }  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row], schema=STUDY), self.folder / "study.parquet")

    def _label_counts(self, split: str) -> dict[str, int]:
        return dict(zip(self.labels, map(int, self.truth[split].sum(axis=0)), strict=True))

    def scores_of(self, split: str, strength: float) -> np.ndarray:
        """Probabilities that follow the truth with the given strength."""
        logits = strength * (2.0 * self.truth[split] - 1) + self.noise[split] + 0.3 * self.random.normal(size=self.noise[split].shape)
        if self.kind != "multilabel":
            return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return 1 / (1 + np.exp(1.2 - logits))

    def trial(self, key: str, strength: float, *, role: str = "search", state: str = "complete", **row: Any) -> float:
        """A trial with its epochs, predictions and scores; returns its validation value."""
        predicted = {split: self.scores_of(split, strength) for split in ("val", "test")}
        if role == "baseline" and strength == 0:
            predicted = {split: np.tile(self.truth["train"].mean(axis=0), (self.patients, 1)) for split in predicted}
        rows = self._score_rows(key, "network", "", predicted) if state == "complete" else []
        objective = "macro_average_precision" if self.kind == "multilabel" else "balanced_accuracy"
        value = next((r["value"] for r in rows if r["split"] == "val" and r["metric"] == objective and not r["label"]), 0.3)
        self.clock += timedelta(minutes=3)
        self.num_trials += 1
        self.write("trial", key, [{
            "study": self.folder.name, "trial": key, "role": role, "number": None, "table": "", "variant": "", "seed": 0, "fold": 0,
            "state": state, "outcome": "", "message": "", "params": "{}", "spec": "{}", "objective": objective, "value": value,
            "best_epoch": 3, "num_epochs": 5, "num_parameters": 11_200_000, "seconds_training": 42.0, "seconds_total": 44.5,
            "device": "cpu", "host": "node-1", "started": self.clock, "ended": self.clock + timedelta(seconds=44),
            "provenance": json.dumps({"commit": "0123abc", "difference": "", "lock": "c" * 64, "versions": {"torch": "2.9.0", "python": "3.11.4"},
                                      "command": "python -m study.run search_spaces/odir.yaml"}),
            "data_fingerprint": "a" * 64, "split_hash": "b" * 64, **row,
        }])  # fmt: skip
        self._epochs(key, value)
        if state == "complete":
            self.write("scores", key, rows)
            self.write("predictions", key, [r for split in predicted for r in self._prediction_rows(key, split, predicted[split])])
        return float(value)

    def _epochs(self, key: str, value: float) -> None:
        self.write("epochs", key, [
            {"trial": key, "epoch": e, "train_loss": 0.6 / e, "val_loss": 0.65 / e + 0.02 * e, "value": value * (1 - 0.5 / e),
             "lr": 1e-3 / e, "seconds": 8.0, "pairs_per_second": 40.0}
            for e in range(1, 6)
        ])  # fmt: skip

    def _prediction_rows(self, key: str, split: str, score: np.ndarray) -> list[dict[str, Any]]:
        return [
            {"trial": key, "head": "network", "split": split, "sample": f"{split}-{i}", "patient": f"{split}-patient-{i}",
             "target": list(map(int, self.truth[split][i])), "score": list(map(float, score[i]))}
            for i in range(len(score))
        ]  # fmt: skip

    def _score_rows(self, key: str, head: str, setting: str, predicted: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        rows, known = [], metrics_of(self.kind)
        tuned = tune_thresholds(self.truth["val"], predicted["val"])
        for split, score in predicted.items():
            score = score.astype(np.float32).astype(np.float64)
            for decision, threshold in (("half", 0.5), ("tuned", tuned)):
                for name, found in values(self.kind, self.truth[split], score, decide(score, self.kind, threshold)).items():
                    if known[name].needs == "score" and decision == "tuned":
                        continue
                    for label, value in zip(self.labels if known[name].per_label else ("",), found, strict=True):
                        rows.append({"trial": key, "head": head, "setting": setting, "split": split, "metric": name, "label": label,
                                     "decision": "none" if known[name].needs == "score" else decision, "value": float(value)})  # fmt: skip
        return rows


def fake_run(folder: Path, *, num_search: int = 12, hostile: bool = False, **options: Any) -> Path:
    """A whole run: a search with every outcome, an ablation with two seeds a variant, and both baselines."""
    run = FakeRun(folder, **options)
    run.study(**({"title": HOSTILE, "profile_changes": json.dumps({HOSTILE: HOSTILE})} if hostile else {}))
    for i in range(num_search):
        lr = float(10 ** run.random.uniform(-5, -2))
        params = {"optimiser.lr": lr, "model.backbone": BACKBONES[i % 3], "model.fusion": FUSIONS[i % 2]}
        if FUSIONS[i % 2] == "difference":
            params["model.fusion.difference.signed"] = bool(i % 4 == 1)
        state, extra = "complete", {}
        if i % 6 == 4:
            state = "pruned"
        elif i % 6 == 5:
            state, extra = "failed", {"outcome": "non_finite_loss", "message": HOSTILE if hostile else "loss was nan in epoch 2", "value": None}
        strength = 1.5 - 0.4 * abs(np.log10(lr) + 3.5) + 0.2 * (i % 2)
        run.trial(f"search-{i:05d}", strength, state=state, number=i, params=json.dumps(params), **extra)
    for variant, strength in TABLE3.items():
        for seed in (0, 1):
            run.trial(f"ablation-dmsnet_table3-{variant}-s{seed}", strength, role="ablation", table="dmsnet_table3", variant=variant, seed=seed)
    for variant in ("small", HOSTILE if hostile else "large"):
        run.trial(f"ablation-sizes-{variant[:5].strip('<')}-s0", 1.0, role="ablation", table="sizes", variant=variant)
    run.trial("baseline-prior", 0.0, role="baseline", variant="prior")
    run.trial("baseline-untrained", 0.15, role="baseline", variant="untrained")
    return folder
