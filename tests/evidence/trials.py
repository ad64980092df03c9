"""Small trials as rows and arrays, for the tests of this room."""

from datetime import UTC, datetime

import numpy as np

from study.evidence.predictions import Embeddings, Predictions
from study.evidence.schema import STUDY, TRIAL

LABELS = ["N", "D", "G"]


def trial_row(key, **changes):
    row = dict.fromkeys(TRIAL.names, None) | {
        "study": "toy", "trial": key, "role": "search", "state": "complete", "value": 0.5, "synthetic": True, "params": "{}",
        "started": datetime(2025, 1, 1, tzinfo=UTC),
    }
    return row | changes


def study_row(**changes):
    return dict.fromkeys(STUDY.names, None) | {"study": "toy", "kind": "multilabel", "labels": LABELS, "synthetic": True} | changes


def many_label_targets(num_samples, num_labels, rng, share=0.3):
    target = (rng.random((num_samples, num_labels)) < share).astype(np.int8)
    target[:num_labels] = np.eye(num_labels, dtype=np.int8)
    return target


def class_targets(num_samples, num_labels, rng):
    return np.eye(num_labels, dtype=np.int8)[np.arange(num_samples) % num_labels]


def predictions(key="search-00001", split="test", num_samples=20, seed=0, head="network", setting=""):
    rng = np.random.default_rng(seed)
    target = many_label_targets(num_samples, len(LABELS), rng)
    score = (rng.random(target.shape) * 0.6 + 0.4 * target).astype(np.float32)
    sample = [f"{split}-{i}" for i in range(num_samples)]
    return Predictions(key, head, setting, split, sample, [f"p{i}" for i in range(num_samples)], target, score, True)


def embeddings(split, num_samples, kind="multilabel", num_labels=3, seed=0, width=6, noise=0.7):
    rng = np.random.default_rng([seed, sum(map(ord, split))])
    target = (many_label_targets if kind == "multilabel" else class_targets)(num_samples, num_labels, rng)
    directions = np.random.default_rng(seed).normal(size=(num_labels, width))
    embedding = (target @ directions + noise * rng.normal(size=(num_samples, width))).astype(np.float32)
    sample = [f"{split}-{i}" for i in range(num_samples)]
    return Embeddings("search-00001", split, sample, sample, target, embedding, True)
