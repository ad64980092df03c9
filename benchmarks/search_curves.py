"""The search space of the benchmark of the search, and its invented learning curves."""

import json
import math
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np

from study.spec.holes import Scalar

Params = Mapping[str, Scalar]
EPOCHS = 27
STUDY: dict[str, Any] = {
    "study": "surrogate",
    "data": {"dataset": "phantom"},
    "model": {
        "backbone": "tiny",
        "attention": {"type": "categorical", "choices": ["none", "se", "cbam"]},
        "embedding": {"l2norm": {"type": "categorical", "choices": [False, True]}},
        "head": {"name": "multi_label", "dropout": {"type": "float", "low": 0.0, "high": 0.6}},
    },
    "loss": {
        "type": "categorical",
        "choices": [
            "bce",
            {"name": "focal", "gamma": {"type": "float", "low": 0.5, "high": 4.0}},
            {"name": "asymmetric", "gamma_neg": {"type": "float", "low": 0.5, "high": 6.0}},
        ],
    },
    "optimiser": {
        "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    },
    "training": {"epochs": EPOCHS},
    "search": {"startup": 10, "min_epochs": 3},
}


def true_value(params: Params) -> float:
    """The value that a configuration comes to without noise.

    The best learning rate depends on the loss. Weight decay and dropout have one best value each, and an
    attention adds a little.
    """
    gain, rate = {"bce": (0.0, -3.0), "focal": (0.03, -2.6), "asymmetric": (0.02, -3.3)}[str(params["loss"])]
    if params["loss"] == "focal":
        gain -= 0.02 * (numeric(params, "loss.focal.gamma") - 2.0) ** 2
    if params["loss"] == "asymmetric":
        gain += 0.03 - 0.01 * (numeric(params, "loss.asymmetric.gamma_neg") - 4.0) ** 2
    off = math.log10(numeric(params, "optimiser.lr")) - rate
    decay = math.log10(numeric(params, "optimiser.weight_decay")) + 2.5
    part = {"none": 0.0, "se": 0.015, "cbam": 0.01}[str(params["model.attention"])]
    dropout = -0.15 * (numeric(params, "model.head.dropout") - 0.2) ** 2
    return 0.72 + gain + part + dropout - 0.09 * off**2 / (1 + 0.3 * off**2) - 0.008 * decay**2


def numeric(params: Params, name: str) -> float:
    """The value of a numeric parameter."""
    value = params[name]
    assert isinstance(value, int | float)
    return value


def learning_curve(params: Params, seed: int) -> list[float]:
    """Values by epoch: a noisy rise to the true value, faster with a higher learning rate."""
    noise = np.random.default_rng([seed, crc32(json.dumps(params, sort_keys=True).encode())])
    pace = 2.0 + 6.0 / (1 + math.exp(2 * (math.log10(numeric(params, "optimiser.lr")) + 3.5)))
    final = true_value(params)
    values = []
    for epoch in range(1, EPOCHS + 1):
        risen = 0.3 + (final - 0.3) * (1 - math.exp(-epoch / pace))
        values.append(risen + float(noise.normal(0, 0.008)))
    return values
