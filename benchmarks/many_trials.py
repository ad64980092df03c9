"""A study of many short trials: time per trial from first to last, memory, files, resume and report.

    uv run python benchmarks/many_trials.py [--trials 1000]

The trials are those of `overhead.py`, one at a time. The first line gives the seconds beside the training for
each tenth of the trials, which must not grow.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from overhead import ONE_PROCESS, beside_training_of, ignore, run_study

from study import run
from study.engine.start.start import open_store, start
from study.evidence.store import Store
from study.places import CACHE
from study.report import write_report
from study.spec.resolve import resolve

NAME = "many"


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--trials", type=int, default=1000)
    trials = cli.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reports: list[tuple[float, float]] = []

        def timed(where: str) -> str:
            memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            began = time.perf_counter()
            page = write_report(where)
            reports.append((memory_gib, time.perf_counter() - began))
            return page

        with patch.object(run, "write_report", timed):
            run_study(folder, NAME, trials, ONE_PROCESS)
        store = Store(folder / NAME)
        seconds = beside_training_of(store)
        tenth = max(1, len(seconds) // 10)
        parts = [statistics.median(seconds[i : i + tenth]) for i in range(0, tenth * 10, tenth)]
        print("beside  " + " ".join(f"{part:.2f}" for part in parts) + " s, median of each tenth")
        (memory_gib, report_s), *_ = reports
        print(f"driver  {memory_gib:.2f} GiB before the report, which took {report_s:.0f} s")
        num_files = sum(path.is_file() for path in (folder / NAME).rglob("*"))
        print(f"files   {num_files} in the run, {len(set(store.packs.homes().values()))} packs")
        began = time.perf_counter()
        resume(folder, trials)
        print(f"resume  {time.perf_counter() - began:.1f} s")


def resume(folder: Path, trials: int) -> None:
    """Takes the plan of the study from its records, as the same command with more trials does."""
    wanted = {"search.trials": trials + 10, "storage": str(folder)}
    resolved = resolve(folder / f"{NAME}.yaml", wanted, "auto", has_gpu=False)
    ready = start(resolved, open_store(resolved), "{}", CACHE, ignore, ignore, extend=True)
    assert ready.plan.num_left >= 10, ready.plan.num_left


if __name__ == "__main__":
    main()
