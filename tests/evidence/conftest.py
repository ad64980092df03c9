"""Factories of small trials, as rows and arrays."""

from datetime import UTC, datetime

import numpy as np
import pytest

from study.evidence.predictions import Embeddings, Predictions
from study.evidence.schema import STUDY, TRIAL

LABELS = ["N", "D", "G"]


@pytest.fixture
def trial_row():
    def make(key, **changes):
        given = {
            "study": "toy",
            "trial": key,
            "role": "search",
            "state": "complete",
            "value": 0.5,
            "params": "{}",
            "synthetic": True,
        }
        return (
            dict.fromkeys(TRIAL.names, None) | given | {"started": datetime(2025, 1, 1, tzinfo=UTC)} | changes
        )

    return make


@pytest.fixture
def study_row():
    return dict.fromkeys(STUDY.names, None) | {
        "study": "toy",
        "kind": "multilabel",
        "labels": LABELS,
        "synthetic": True,
    }


def targets_of(kind, num_samples, num_labels, rng):
    if kind != "multilabel":
        return np.eye(num_labels, dtype=np.int8)[np.arange(num_samples) % num_labels]
    target = (rng.random((num_samples, num_labels)) < 0.3).astype(np.int8)
    target[:num_labels] = np.eye(num_labels, dtype=np.int8)
    return target


@pytest.fixture
def predictions():
    def make(
        key="search-00001",
        split="test",
        *,
        kind="multilabel",
        num_samples=30,
        num_labels=3,
        seed=0,
        signal=0.4,
    ):
        rng = np.random.default_rng(seed)
        target = targets_of(kind, num_samples, num_labels, rng)
        score = (rng.random(target.shape) * (1 - signal) + signal * target).astype(np.float32)
        sample = [f"{split}-{i}" for i in range(num_samples)]
        return Predictions(
            key,
            "network",
            "",
            split,
            sample,
            [f"patient {i // 2}" for i in range(num_samples)],
            target,
            score,
            True,
        )

    return make


@pytest.fixture
def embeddings():
    def make(split, num_samples=40, *, kind="multilabel", num_labels=3, width=6, noise=0.7):
        rng = np.random.default_rng([sum(map(ord, split))])
        target = targets_of(kind, num_samples, num_labels, rng)
        directions = np.random.default_rng(0).normal(size=(num_labels, width))
        embedding = (target @ directions + noise * rng.normal(size=(num_samples, width))).astype(np.float32)
        sample = [f"{split}-{i}" for i in range(num_samples)]
        return Embeddings("search-00001", split, sample, sample, target, embedding, True)

    return make
