"""Seconds that a trial costs beside its training, at steady state, in a real study of many small trials.

    uv run python benchmarks/overhead.py [--trials 24] [--concurrent 1]

The study trains a tiny network for one epoch, trial after trial. From the records: the time between the starts of
consecutive trials of one slot, less the training itself, is what start, report, embedding, scoring and writing cost.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import yaml

from study import run
from study.evidence.store import Store

STUDY = {
    "study": "overhead",
    "data": {"dataset": "odir5k", "phantom_patients": 240, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "training": {"epochs": 1, "warmup_epochs": 0},
}


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=24)
    cli.add_argument("--concurrent", type=int, default=1)
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overhead.yaml"
        search = {"trials": args.trials, "pruner": "none"}
        path.write_text(yaml.safe_dump({**STUDY, "search": search, "resources": {"concurrent": args.concurrent, "cpus_per_worker": 1}}))
        assert run.main([str(path), "--storage", folder]) == 0
        trials = Store(Path(folder) / "overhead").read("trial")
        epochs = Store(Path(folder) / "overhead").read("epochs").set_index("trial")
    trials = trials[trials["role"] == "search"].sort_values("started")
    starts = trials["started"].tolist()
    step = args.concurrent
    whole = [(b - a).total_seconds() for a, b in zip(starts, starts[step:], strict=False)]
    training = [float(epochs.loc[key, "seconds"]) for key in trials["trial"][: len(whole)]]
    beside = [w - t for w, t in zip(whole, training, strict=True)][2 * step :]  # the first ones of a slot load torch and the data
    print(f"{len(beside)} trials, {args.concurrent} at a time")
    print(f"beside the training {statistics.median(beside):.2f} s a trial  ({min(beside):.2f} to {max(beside):.2f})")
    print(f"training            {statistics.median(training):.2f} s a trial")


if __name__ == "__main__":
    main()
