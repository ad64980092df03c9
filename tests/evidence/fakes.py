"""Rows, predictions and embeddings of small trials, from a random generator."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from study.evidence.predictions import Embeddings, Predictions
from study.evidence.schema import STUDY, TRIAL
from study.spec.task import LabelKind

LABELS = ["N", "D", "G"]


def trial_row(key: str, **changes: Any) -> dict[str, Any]:
    """The row of TRIAL of a complete trial."""
    given = {
        "study": "toy",
        "trial": key,
        "role": "search",
        "state": "complete",
        "value": 0.5,
        "params": "{}",
        "synthetic": True,
        "started": datetime(2025, 1, 1, tzinfo=UTC),
    }
    return {**dict.fromkeys(TRIAL.names), **given, **changes}


def study_row(**changes: Any) -> dict[str, Any]:
    """The row of STUDY."""
    given = {"study": "toy", "kind": "multilabel", "labels": LABELS, "synthetic": True}
    return {**dict.fromkeys(STUDY.names), **given, **changes}


def targets(kind: LabelKind, num_samples: int, num_labels: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of which each is carried by some sample."""
    if kind != "multilabel":
        return np.eye(num_labels, dtype=np.int8)[np.arange(num_samples) % num_labels]
    target = (rng.random((num_samples, num_labels)) < 0.3).astype(np.int8)
    target[:num_labels] = np.eye(num_labels, dtype=np.int8)
    return target


def fake_predictions(
    key: str = "search-00001",
    split: str = "test",
    *,
    kind: LabelKind = "multilabel",
    num_samples: int = 30,
    num_labels: int = 3,
    seed: int = 0,
    signal: float = 0.4,
) -> Predictions:
    """Predictions that know a part of the truth; two samples belong to each patient.

    Args:
        key: Key of the trial.
        split: Name of the split.
        kind: Kind of the labels.
        num_samples: Number of samples.
        num_labels: Number of labels.
        seed: Seed of labels and scores.
        signal: Share of the truth in the scores.
    """
    rng = np.random.default_rng(seed)
    target = targets(kind, num_samples, num_labels, rng)
    score = (rng.random(target.shape) * (1 - signal) + signal * target).astype(np.float32)
    return Predictions(
        trial=key,
        head="network",
        setting="",
        split=split,
        sample=[f"{split}-{i}" for i in range(num_samples)],
        patient=[f"patient {i // 2}" for i in range(num_samples)],
        target=target,
        score=score,
        synthetic=True,
    )


def fake_embeddings(
    split: str,
    num_samples: int = 40,
    *,
    kind: LabelKind = "multilabel",
    noise: float = 0.7,
) -> Embeddings:
    """Embeddings in which samples of equal labels lie near each other.

    Args:
        split: Name of the split, which also is the seed of labels and noise.
        num_samples: Number of samples.
        kind: Kind of the labels.
        noise: Standard deviation of the noise.
    """
    num_labels, width = len(LABELS), 6
    rng = np.random.default_rng([sum(map(ord, split))])
    target = targets(kind, num_samples, num_labels, rng)
    directions = np.random.default_rng(0).normal(size=(num_labels, width))
    embedding = (target @ directions + noise * rng.normal(size=(num_samples, width))).astype(np.float32)
    sample = [f"{split}-{i}" for i in range(num_samples)]
    return Embeddings(
        trial="search-00001",
        split=split,
        sample=sample,
        patient=sample,
        target=target,
        embedding=embedding,
        synthetic=True,
    )
