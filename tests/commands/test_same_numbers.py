"""A change of the code's form changes no number: a small study gives the records that it gave before.

`reference/` holds its records less what differs from run to run. Whoever changes a result on purpose writes
them anew and says why: `python tests/commands/test_same_numbers.py`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from study.evidence.schema import TABLES
from study.evidence.store import Store

ROOT = Path(__file__).parents[2]
REFERENCE = Path(__file__).parent / "reference"
# Processors sum in different orders unless they are asked for the instructions that all of them have.
PORTABLE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
VOLATILE = {
    "host",
    "provenance",
    "started",
    "ended",
    "seconds",
    "seconds_training",
    "seconds_total",
    "pairs_per_second",
    "device",
    "digest",  # of all columns, the volatile ones included
}
EMBEDDED = "ablation-dmsnet_table3-osim-s0"  # one trial's embeddings are enough, and are a tenth of the file
RTOL, ATOL = 1e-5, 1e-6
# On a processor with other instructions the last bit of a sum may differ, and training makes more of it.
FIRST, ROUGHLY = "search-00000", 0.02


def run_study(folder: Path) -> Store:
    """Runs the reference study and gives its records."""
    command = [
        sys.executable,
        "-m",
        "study.run",
        str(REFERENCE / "study.yaml"),
        "--storage",
        str(folder / "runs"),
    ]
    environment = {**os.environ, **PORTABLE, "STUDY_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Store(folder / "runs" / "reference")


def kept(store: Store, name: str) -> pa.Table:
    """A table of the records less its volatile columns."""
    table = store.read_table(name)
    if name == "embeddings":
        table = table.filter(pc.field("trial") == EMBEDDED)
    return table.select([column for column in table.column_names if column not in VOLATILE])


def numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of floats, or of lists of floats, as one array; None for any other column."""
    if pa.types.is_list(column.type):
        return numbers(pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type))
    return np.asarray(column.to_numpy()) if pa.types.is_floating(column.type) else None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return run_study(tmp_path_factory.mktemp("same"))


def processor() -> str:
    """What the processor can do, as a hash; empty where the system does not say."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    return hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest() if flags else ""


SAME_PROCESSOR = processor() == (REFERENCE / "processor.txt").read_text().strip()


@pytest.mark.skipif(not SAME_PROCESSOR, reason="the reference is of another processor")
@pytest.mark.parametrize("name", TABLES)
def test_the_records_are_what_they_were(store: Store, name: str) -> None:
    found, before = kept(store, name), pq.read_table(REFERENCE / f"{name}.parquet")
    assert found.column_names == before.column_names
    assert len(found) == len(before)
    for column in before.column_names:
        expected = numbers(before[column])
        if expected is None:
            assert found[column].to_pylist() == before[column].to_pylist(), column
        else:
            got = numbers(found[column])
            assert got is not None, column
            np.testing.assert_allclose(got, expected, err_msg=column, rtol=RTOL, atol=ATOL)


def test_the_first_trial_is_what_it_was_on_any_processor(store: Store) -> None:
    for name in TABLES:
        assert kept(store, name).schema.equals(pq.read_table(REFERENCE / f"{name}.parquet").schema)
    for name, column in (("epochs", "train_loss"), ("predictions", "score")):
        of_first = pc.field("trial") == FIRST
        found = kept(store, name).filter(of_first)
        before = pq.read_table(REFERENCE / f"{name}.parquet").filter(of_first)
        got, expected = numbers(found[column]), numbers(before[column])
        assert got is not None
        assert expected is not None
        np.testing.assert_allclose(got, expected, atol=ROUGHLY)


def write_reference(folder: Path) -> None:
    """Writes the reference anew."""
    store = run_study(folder)
    for name in TABLES:
        pq.write_table(kept(store, name), REFERENCE / f"{name}.parquet", compression="zstd")
    (REFERENCE / "processor.txt").write_text(f"{processor()}\n")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_reference(Path(scratch))
