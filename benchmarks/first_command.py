"""Wall time and peak memory of the README's first command, from nothing cached to the report.

    uv run python benchmarks/first_command.py [STUDY.yaml] [--set KEY=VALUE ...]

Memory is the proportional set size, in which a page that several processes share counts once, summed over all
processes of the run and sampled twice a second. Linux only.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pss_mib(mark: bytes) -> float:
    """Sums the memory of all processes with this mark in their environment."""
    total_kib = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, StopIteration):  # the process has ended, or belongs to another user
            if mark in (process / "environ").read_bytes():
                rollup = (process / "smaps_rollup").read_text().splitlines()
                line = next(line for line in rollup if line.startswith("Pss:"))
                total_kib += int(line.split()[1])
    return total_kib / 1024


def main() -> None:
    words = sys.argv[1:] or ["search_spaces/dmsnet.yaml"]
    with tempfile.TemporaryDirectory() as folder:
        cache = f"{folder}/cache"
        mark = f"STUDY_CACHE={cache}".encode()
        command = [sys.executable, "-m", "study.run", *words, "--storage", f"{folder}/runs"]
        peak = 0.0
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "STUDY_CACHE": cache})
        while process.poll() is None:
            peak = max(peak, pss_mib(mark))
            time.sleep(0.5)
        seconds = time.monotonic() - began
    time_taken = f"{seconds:.0f} s on {os.cpu_count()} cores"
    print(f"exit code {process.returncode}, {time_taken}, peak {peak:.0f} MiB of all its processes")


if __name__ == "__main__":
    main()
