"""A small run of SVK_MA's networks, with numbers from a random generator."""

import json
from pathlib import Path

from tests.reporting.fake_run import FakeRun

STRENGTHS = {
    "svkma_figure16": {"svk": 0.4, "svk_ma": 0.8},
    "svkma_table8": {"vgg16": 0.5, "svk_ma": 0.8, "mine": 0.6},
}
SPEC = {"data": {"dataset": "phantom"}, "model": {"backbone": "tiny"}}
BY_OWN_HEAD = ("vgg16", "mine")  # trained as plain classifiers


def svk_run(folder: Path, *, patients: int = 40) -> Path:
    """A search of four trials, and two ablations with two seeds each."""
    run = FakeRun(folder, kind="classes", patients=patients)
    run.study(ablations=json.dumps({table: list(rows) for table, rows in STRENGTHS.items()}))
    for i in range(4):
        key = f"search-{i:05d}"
        run.trial(key, run.predictions(key, 1.0), number=i, spec=json.dumps(SPEC))
    for table, rows in STRENGTHS.items():
        for variant, strength in rows.items():
            for seed in (1, 0):
                key = f"ablation-{table}-{variant}-s{seed}"
                head = "network" if variant in BY_OWN_HEAD else "knn"
                run.trial(
                    key,
                    run.predictions(key, strength),
                    role="ablation",
                    table=table,
                    variant=variant,
                    seed=seed,
                    head=head,
                    spec=json.dumps(SPEC),
                )
    return folder
