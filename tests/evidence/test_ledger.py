import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import fs

from study.evidence.digests import digest_of
from study.evidence.ledger import broken_records, enter_records, ledger_of, seal_of
from study.evidence.store import WEIGHTS, Store
from study.spec.errors import StorageError
from tests.evidence.fakes import fake_embeddings, fake_predictions, study_row, trial_row

KEYS = ("a-1", "a-2", "a-3")


def tables_of(key: str, seed: int) -> dict[str, Any]:
    embeddings = fake_embeddings("val").table()
    own = embeddings.set_column(0, "trial", pa.repeat(pa.scalar(key), len(embeddings)))
    return {
        "trial": [trial_row(key)],
        "predictions": fake_predictions(key, seed=seed).table(),
        "embeddings": own,
    }


@pytest.fixture(params=["renames", "objects"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """A run with three trials on a disk, and on a storage without renames."""
    disk = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    found = Store(tmp_path / "run") if request.param == "renames" else Store("run", disk)
    found.write_study(study_row())
    weights = tmp_path / "w"
    weights.write_bytes(b"numbers")
    for seed, key in enumerate(KEYS):
        found.publish(key, tables_of(key, seed), {WEIGHTS: weights})
    return found


def broken(store: Store) -> dict[str, str]:
    return {line.record: line.was for line in broken_records(store)}


def test_a_digest_is_of_the_values_and_not_of_their_storage() -> None:
    values = pa.array([[1.0, 2.0], None, []], pa.list_(pa.float32()))
    table = pa.table({"a": values, "b": pa.array(["x", None, "yz"])})
    twice = pa.concat_tables([table, table])
    assert digest_of({"t": twice.slice(3)}) == digest_of({"t": table})
    assert digest_of({"t": pa.concat_tables([table.slice(0, 1), table.slice(1)])}) == digest_of({"t": table})
    for other in (
        table.slice(0, 2),
        table.take([1, 0, 2]),
        table.set_column(1, "b", pa.array(["xy", None, "z"])),
        table.set_column(1, "b", pa.array(["x", "", "yz"])),
        table.set_column(0, "a", pa.array([[1.0], None, [2.0]], pa.list_(pa.float32()))),
    ):
        assert digest_of({"t": other}) != digest_of({"t": table})


def test_trials_are_whole_after_packing_deleted_weights_and_further_entries(store: Store) -> None:
    enter_records(store)
    before = seal_of(store)
    assert broken(store) == {}
    store.packs.write(KEYS[:2])
    store.delete_weights(KEYS[0])
    enter_records(store)
    assert broken(store) == {}
    assert seal_of(store) == before


def test_a_trial_after_a_kill_is_entered_at_the_next_start(store: Store) -> None:
    enter_records(store)
    store.publish("a-4", tables_of("a-4", 4))
    assert broken(store) == {"trials/a-4": "not in the ledger"}
    enter_records(store)
    assert broken(store) == {}


def test_an_added_head_has_a_line_of_its_own(store: Store) -> None:
    enter_records(store)
    store.add_head(KEYS[0], "svm", fake_predictions(KEYS[0]).table(), [])
    enter_records(store)
    assert f"heads/{KEYS[0]}/svm" in ledger_of(store)
    assert broken(store) == {}
    store.add_head(KEYS[0], "svm", fake_predictions(KEYS[0], seed=1).table(), [])
    assert broken(store)[f"heads/{KEYS[0]}/svm"].endswith("in the ledger")


def test_a_loss_stays_in_the_ledger(store: Store) -> None:
    enter_records(store)
    store.filesystem.delete_dir(store.path("trials", KEYS[1]))
    enter_records(store)
    assert list(broken(store)) == [f"trials/{KEYS[1]}"]


def test_rewritten_predictions_are_found_even_with_a_digest_of_their_own(store: Store) -> None:
    enter_records(store)
    store.filesystem.delete_dir(store.path("trials", KEYS[1]))
    store.publish(KEYS[1], tables_of(KEYS[1], seed=9))
    assert list(broken(store)) == [f"trials/{KEYS[1]}"]


def test_a_damaged_ledger_is_not_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.write_study(study_row())
    store.publish("a-1", tables_of("a-1", 0))
    enter_records(store)
    (tmp_path / "run" / "ledger.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match=r"ledger\.parquet`: must be readable"):
        enter_records(store)
    shutil.rmtree(tmp_path / "run" / "trials")
    with pytest.raises(StorageError, match="must be readable"):
        list(broken_records(store))
