"""Wall time and peak memory of the README's first command, from nothing cached to the report.

    uv run python benchmarks/first_command.py [STUDY.yaml] [--set KEY=VALUE ...]

Memory is the proportional set size (pages shared by several processes count once) summed over all processes of the run,
sampled twice a second. Linux only.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pss_mib(mark: bytes) -> float:
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                rollup = (process / "smaps_rollup").read_text()
                total += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
        except (OSError, StopIteration):
            continue
    return total / 1024


def main() -> None:
    words = sys.argv[1:] or ["search_spaces/dmsnet.yaml"]
    with tempfile.TemporaryDirectory() as folder:
        mark = f"STUDY_CACHE={folder}/cache"
        command = [sys.executable, "-m", "study.run", *words, "--storage", f"{folder}/runs"]
        began, peak = time.monotonic(), 0.0
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "STUDY_CACHE": f"{folder}/cache"})
        while process.poll() is None:
            peak = max(peak, pss_mib(mark.encode()))
            time.sleep(0.5)
        seconds = time.monotonic() - began
    print(
        f"exit code {process.returncode}, {seconds:.0f} s on {os.cpu_count()} cores, peak {peak:.0f} MiB of all its processes"
    )


if __name__ == "__main__":
    main()
