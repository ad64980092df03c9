"""A small run folder as the engine would have left it, with numbers from a random generator."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from study.evidence.baselines import prior_predictions
from study.evidence.heads import FittedHeads, fit_heads
from study.evidence.ledger import enter_records
from study.evidence.metrics import DEFAULT_OBJECTIVE
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.run_tables import write_run_table
from study.evidence.schema import STUDY, TRIAL
from study.evidence.score import score_rows, swap_row
from study.evidence.store import Store
from study.spec.task import LabelKind, ThresholdRule

ODIR = ("N", "D", "G", "C", "A", "H", "M", "O")
PREVALENCE = np.array([0.33, 0.32, 0.06, 0.06, 0.05, 0.03, 0.05, 0.28])
HOSTILE = '<script>alert("x")</script> & 100%_$#{~}^\\ |pipe|'
BACKBONES, FUSIONS = ("resnet18", "mobilenet_v2", "squeezenet1_1"), ("concat", "difference", "gated")
PROVENANCE = {
    "commit": "0123abc",
    "difference": "",
    "lock_sha256": "c" * 64,
    "versions": {"torch": "2.9.0"},
    "python": "3.11.4",
    "command": "run",
}
BY_NAME = {  # settings of a profile that are too long to write out
    "ablations.own": {"variants": {"a": {"loss": "bce"}, "b": {}}},
    "bundles.light": {
        "type": "categorical",
        "choices": [{"name": "none"}, {"name": "local", "data.illumination": "msr"}],
    },
}
LABELS: dict[LabelKind, tuple[str, ...]] = {
    "multilabel": ODIR,
    "classes": ("VO", "PVD"),
    "grades": ("0", "1", "2", "3", "4"),
}
SEARCH_SPACE = {
    "optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True},
    "model.backbone": {"type": "categorical", "choices": list(BACKBONES)},
    "model.fusion": {"type": "categorical", "choices": list(FUSIONS)},
}
TABLE3 = {"osim": 1.7, "aspp": 1.5, "spp": 1.6, "rfb": 1.55, "our_own": 1.65}

PLAIN_SPEC: dict[str, dict[str, Any]] = {  # of a trial that trains on the images as they are
    "data": {
        "augmentation": {"cutmix": {"kind": "none", "probability": 0.5, "box": "shared"}},
        "generated": None,
    },
    "training": {"sampling": "shuffle"},
}


class FakeRun:
    """Writes one run folder; the strength of a trial says how well its scores follow the truth."""

    def __init__(
        self,
        folder: Path,
        *,
        patients: int = 50,
        synthetic: bool = False,
        kind: LabelKind = "multilabel",
        seed: int = 0,
    ) -> None:
        self.store = Store(folder)
        self._fitted: FittedHeads | None = None
        self.folder, self.patients, self.synthetic, self.kind = folder, patients, synthetic, kind
        self.labels = LABELS[kind]
        self.objective = DEFAULT_OBJECTIVE[kind]
        self.thresholds: ThresholdRule = "f1"
        self.random = np.random.default_rng(seed)
        self.truth = {split: self._truth(patients) for split in ("train", "val", "test")}
        self.noise = {split: self.random.normal(size=(patients, len(self.labels))) for split in self.truth}
        self.split = pd.DataFrame(
            {
                "sample": [f"{split}-{i}" for split in self.truth for i in range(patients)],
                "patient": [f"{split}-patient-{i}" for split in self.truth for i in range(patients)],
                "split": [split for split in self.truth for _ in range(patients)],
            }
        )
        parts = self.split[["sample", "split"]].to_csv(index=False)
        self.split_hash = hashlib.sha256(parts.encode()).hexdigest()
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.num_trials = 0

    def _truth(self, num: int) -> np.ndarray:
        if self.kind != "multilabel":
            return np.eye(len(self.labels), dtype=np.int8)[self.random.integers(len(self.labels), size=num)]
        target = (self.random.random((num, len(self.labels))) < PREVALENCE).astype(np.int8)
        forty_eight = np.tile(np.eye(8, dtype=np.int8), (6, 1))  # a label needs carriers for an interval
        target[:48] |= forty_eight[: len(target)]
        target[:48:8] = 0
        target[:, 0] = target[:, 1:].sum(axis=1) == 0
        return target

    def study(self, **overrides: Any) -> None:
        """The row of the study itself."""
        counts = {
            s: {"patients": self.patients, "samples": self.patients, **self._label_counts(s)}
            for s in self.truth
        }
        row = dict.fromkeys(STUDY.names) | {
            "study": self.folder.name,
            "title": "Which fusion reads both eyes best?",
            "identity": "f" * 64,
            "profile": "laptop",
            "profile_changes": json.dumps({"training.epochs": 5, "data.image_px": 96, **BY_NAME}),
            "spec": json.dumps({"search": {"trials": 12}}),
            "dataset": "odir5k",
            "root": "" if self.synthetic else "/data/odir5k",
            "synthetic": self.synthetic,
            "kind": self.kind,
            "cautions": [],
            "labels": list(self.labels),
            "num_views": 2,
            "data_fingerprint": "a" * 64,
            "split_hash": self.split_hash,
            "split_counts": json.dumps(counts),
            "skipped": json.dumps({"one eye only": ["p1", "p2"]}),
            "generated": "[]",
            "objective": self.objective,
            "thresholds": self.thresholds,
            "num_trials": 12,
            "search_space": json.dumps(SEARCH_SPACE),
            "ablations": json.dumps({"dmsnet_table3": list(TABLE3)}),
            "extensions": "[]",
        }
        self.store.write_study(row | overrides)
        self.store.write_bytes("split.csv", self.split.to_csv(index=False).encode())
        write_run_table(self.store, "samples", self._sample_rows())

    def _sample_rows(self) -> list[dict[str, Any]]:
        """Rows of SAMPLES of which nothing is known but the labels."""
        targets = np.concatenate(list(self.truth.values())).tolist()
        facts = {"age": None, "sex": None, "findings": None, "synthetic": self.synthetic}
        rows: list[dict[str, Any]] = self.split.to_dict("records")  # type: ignore[assignment]
        return [{**row, **facts, "target": target} for row, target in zip(rows, targets, strict=True)]

    def _label_counts(self, split: str) -> dict[str, int]:
        return dict(zip(self.labels, map(int, self.truth[split].sum(axis=0)), strict=True))

    def scores_of(self, split: str, strength: float) -> np.ndarray:
        """Probabilities that follow the truth with the given strength."""
        logits = (
            strength * (2.0 * self.truth[split] - 1)
            + self.noise[split]
            + 0.3 * self.random.normal(size=self.noise[split].shape)
        )
        if self.kind != "multilabel":
            return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
        return np.asarray(1 / (1 + np.exp(1.2 - logits)))

    def predictions(self, key: str, strength: float) -> list[Predictions]:
        """What a network of that strength says about validation and test."""
        return [
            Predictions(
                trial=key,
                head="network",
                setting="",
                score=self.scores_of(split, strength).astype(np.float32),
                **self.samples_of(split),
            )
            for split in ("val", "test")
        ]

    def samples_of(self, split: str) -> dict[str, Any]:
        """Who is in a split, as the keywords of `Predictions` and `Embeddings`."""
        return {
            "split": split,
            "sample": [f"{split}-{i}" for i in range(self.patients)],
            "patient": [f"{split}-patient-{i}" for i in range(self.patients)],
            "target": self.truth[split],
            "synthetic": self.synthetic,
        }

    def prior(self, key: str) -> list[Predictions]:
        """The class prior for everyone."""
        return [
            prior_predictions(trial=key, train_target=self.truth["train"], **self.samples_of(split))
            for split in ("val", "test")
        ]

    def trial(
        self,
        key: str,
        predicted: list[Predictions],
        *,
        role: str = "search",
        state: str = "complete",
        **row: Any,
    ) -> None:
        """A trial with its epochs, predictions and scores; without the last two unless it is complete."""
        scores = score_rows(predicted, self.kind, self.labels, self.thresholds) if state == "complete" else []
        values = [
            score["value"]
            for score in scores
            if score["split"] == "val" and score["metric"] == self.objective and not score["label"]
        ]
        value = float(values[-1] if values else 0.3)  # the first is that at one half, if any
        head = predicted[0].head if state == "complete" else ""
        trial = {**self._trial_row(key), "role": role, "state": state, "value": value, "head": head, **row}
        own = json.loads(trial["spec"])
        parts = {name: {**plain, **own.get(name, {})} for name, plain in PLAIN_SPEC.items()}
        trial["spec"] = json.dumps({**own, **parts})
        tables: dict[str, Any] = {"trial": [trial], "epochs": self._epochs(key, value), "scores": scores}
        if state == "complete" and role != "baseline":
            fitted = self.fit_heads(key)
            predicted = [*predicted, *fitted.predictions]
            swapped = swap_row(predicted[1], predicted[1].score * np.float32(0.9))
            tables["scores"] = [*scores, *fitted.scores, swapped]
            tables["embeddings"] = pa.concat_tables([e.table() for e in self.embeddings(key)])
            tables["neighbours"] = fitted.neighbours
        if state == "complete":
            tables["predictions"] = pa.concat_tables([p.table() for p in predicted])
        self.store.publish(key, tables)

    def _trial_row(self, key: str) -> dict[str, Any]:
        """What is the same for every trial, and when it ended, three minutes after the one before."""
        self.clock += timedelta(minutes=3)
        return dict.fromkeys(TRIAL.names) | {
            "study": self.folder.name,
            "trial": key,
            "table": "",
            "variant": "",
            "seed": 0,
            "fold": 0,
            "outcome": "",
            "message": "",
            "params": "{}",
            "spec": "{}",
            "objective": self.objective,
            "best_epoch": 3,
            "num_epochs": 5,
            "num_parameters": 11_200_000,
            "seconds_training": 42.0,
            "seconds_total": 44.5,
            "setting": "",
            "device": "cpu",
            "device_kind": "cpu",
            "num_devices": 2.0,
            "host": "node-1",
            "started": self.clock,
            "ended": self.clock + timedelta(seconds=44),
            "provenance": json.dumps(PROVENANCE),
            "data_fingerprint": "a" * 64,
            "split_hash": self.split_hash,
            "synthetic": self.synthetic,
        }

    def embeddings(self, key: str) -> list[Embeddings]:
        """Embeddings in which samples of equal labels lie near each other; the same for every trial."""
        return [
            Embeddings(
                trial=key,
                embedding=(2.0 * self.truth[split] + self.noise[split]).astype(np.float32),
                **self.samples_of(split),
            )
            for split in self.truth
        ]

    def fit_heads(self, key: str) -> FittedHeads:
        """Nearest neighbours on those embeddings; computed once, since they never change."""
        if self._fitted is None:
            train, *queries = self.embeddings(key)
            rules = self.objective, self.thresholds
            self._fitted = fit_heads(train, queries, self.kind, self.labels, ("knn",), *rules)
        found = self._fitted
        neighbours = found.neighbours.set_column(0, "trial", pa.repeat(pa.scalar(key), len(found.neighbours)))
        rows = [{**row, "trial": key} for row in found.scores]
        return FittedHeads([replace(p, trial=key) for p in found.predictions], rows, neighbours, found.best)

    def _epochs(self, key: str, value: float) -> list[dict[str, Any]]:
        return [
            {
                "trial": key,
                "epoch": epoch,
                "train_loss": 0.6 / epoch,
                "val_loss": 0.65 / epoch + 0.02 * epoch,
                "value": value * (1 - 0.5 / epoch),
                "lr": 1e-3 / epoch,
                "seconds": 8.0,
                "pairs_per_second": 40.0,
                "synthetic": self.synthetic,
            }
            for epoch in range(1, 6)
        ]


def fake_run(folder: Path, *, num_search: int = 12, hostile: bool = False, **options: Any) -> Path:
    """A whole run: a search with every outcome, an ablation with two seeds each, and both baselines."""
    run = FakeRun(folder, **options)
    run.study(**{"title": HOSTILE, "profile_changes": json.dumps({HOSTILE: HOSTILE})} if hostile else {})
    _search(run, num_search, hostile=hostile)
    for variant, strength in TABLE3.items():
        for seed in (0, 1):
            key = f"ablation-dmsnet_table3-{variant}-s{seed}"
            of_variant: dict[str, Any] = {"table": "dmsnet_table3", "variant": variant, "seed": seed}
            run.trial(key, run.predictions(key, strength), role="ablation", **of_variant)
    for variant in ("small", HOSTILE if hostile else "large"):
        key = f"ablation-sizes-{variant[:5].strip('<')}-s0"
        run.trial(key, run.predictions(key, 1.0), role="ablation", table="sizes", variant=variant)
    run.trial("baseline-prior", run.prior("baseline-prior"), role="baseline", variant="prior")
    untrained = run.predictions("baseline-untrained", 0.15)
    run.trial("baseline-untrained", untrained, role="baseline", variant="untrained")
    enter_records(run.store)
    return folder


def _search(run: FakeRun, num: int, *, hostile: bool) -> None:
    """Trials of the search; of six of them one is pruned and one fails."""
    for i in range(num):
        lr = float(10 ** run.random.uniform(-5, -2))
        params = {"optimiser.lr": lr, "model.backbone": BACKBONES[i % 3], "model.fusion": FUSIONS[i % 2]}
        if FUSIONS[i % 2] == "difference":
            params["model.fusion.difference.signed"] = bool(i % 4 == 1)
        end: dict[str, Any] = {"state": "complete"}
        if i % 6 == 4:
            end = {"state": "pruned"}
        elif i % 6 == 5:
            message = HOSTILE if hostile else "loss was nan in epoch 2"
            end = {"state": "failed", "outcome": "non_finite_loss", "message": message, "value": None}
        strength = 1.5 - 0.4 * abs(np.log10(lr) + 3.5) + 0.2 * (i % 2)
        key = f"search-{i:05d}"
        run.trial(key, run.predictions(key, strength), number=i, params=json.dumps(params), **end)
