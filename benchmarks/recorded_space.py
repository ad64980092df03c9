"""The search space whose learning curves are recorded: DMS-Net's modules behind a frozen backbone.

Vectors that a frozen backbone gives for each eye are cheap to learn from, and maps cost several times as
much. So a bundle chooses between the two, the maps have few components, and embeddings are short.
"""

from typing import Any

EPOCHS = 27  # three rungs of successive halving by thirds: 3, 9, 27

STUDY: dict[str, Any] = {
    "study": "recorded",
    "data": {
        "dataset": "odir5k",
        "image_px": 128,
        "augmentation": {
            "flip": True,
            **dict.fromkeys(("rotate_deg", "scale", "brightness", "contrast", "saturation"), 0),
        },
    },
    "model": {
        "embedding": {"dim": {"type": "categorical", "choices": [16, 64]}},
        "head": {"name": "multi_label", "dropout": {"type": "float", "low": 0.0, "high": 0.6}},
    },
    "loss": {
        "type": "categorical",
        "choices": [
            {"name": "bce", "pos_weight": {"type": "categorical", "choices": ["none", "balanced"]}},
            {"name": "focal", "gamma": {"type": "float", "low": 1.0, "high": 4.0}},
            {"name": "asymmetric", "gamma_neg": {"type": "float", "low": 1.0, "high": 6.0}},
        ],
    },
    "optimiser": {
        "lr": {"type": "float", "low": 1e-4, "high": 3e-2, "log": True},
        "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    },
    "training": {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": 256},
    "objective": "macro_average_precision",
    "search": {"startup": 10, "min_epochs": 3},
    "bundles": {
        "network": {
            "type": "categorical",
            "choices": [
                {
                    "name": "vectors",
                    "model.backbone": {
                        "type": "categorical",
                        "choices": [
                            {"name": name, "weights": "imagenet", "freeze": "all"}
                            for name in ("mobilenet_v2", "squeezenet1_1")
                        ],
                    },
                    "model.fusion": {
                        "type": "categorical",
                        "choices": ["concat", "difference", "gated", "max", "late"],
                    },
                },
                {
                    "name": "maps",
                    "model.backbone": {
                        "name": "mobilenet_v2",
                        "weights": "imagenet",
                        "freeze": "all",
                        "reduce": 32,
                        "whiten": True,
                    },
                    "model.context": {"type": "categorical", "choices": ["none", "osim", "ppm"]},
                    "model.attention": {"type": "categorical", "choices": ["none", "se", "cbam"]},
                    "model.fusion": {
                        "type": "categorical",
                        "choices": ["concat", "difference", "gated"],
                    },
                },
            ],
        }
    },
}
