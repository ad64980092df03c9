import pickle
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from study.evidence.run_folder import place_below
from study.evidence.schema import TABLES
from study.evidence.store import WEIGHTS, Store
from study.spec.errors import StorageError
from tests.evidence.fakes import fake_predictions, study_row, trial_row


@pytest.fixture(params=["path", "file URI", "subtree", "mock"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "subtree":
        return Store("runs/toy", fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))
    if request.param == "mock":
        return Store("runs/toy", fs._MockFileSystem(datetime(2025, 1, 1, tzinfo=UTC)))
    return Store(tmp_path / "runs" / "toy" if request.param == "path" else f"file://{tmp_path}/runs/toy")


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(tmp_path / "toy")


def publish(store: Store, key: str, **changes: Any) -> None:
    tables = {"trial": [trial_row(key, **changes)], "predictions": fake_predictions(key).table()}
    store.publish(key, tables)


def test_a_published_trial_is_read_back(store: Store, tmp_path: Path) -> None:
    store.check_writable()
    assert store.keys() == []
    publish(store, "search-00002")
    publish(store, "search-00001", value=0.75)
    assert store.keys() == ["search-00001", "search-00002"]
    trials = store.read("trial", columns=["trial", "value", "started"])
    assert trials["value"].tolist() == [0.75, 0.5]
    assert trials["started"][0] == pd.Timestamp("2025-01-01", tz="UTC")
    table = store.read_table("predictions", keys=["search-00002"])
    assert table.equals(fake_predictions("search-00002").table())
    assert store.read("scores").empty
    assert store.problems == []


def test_columns_and_filters_choose(store: Store) -> None:
    for key in ("a-1", "a-2", "a-3"):
        both = pa.concat_tables([fake_predictions(key, split).table() for split in ("val", "test")])
        store.publish(key, {"trial": [trial_row(key)], "predictions": both})
    chosen = store.read("predictions", columns=["sample"], filters={"split": "val", "trial": ["a-1", "a-3"]})
    assert list(chosen.columns) == ["sample"]
    assert chosen["sample"].tolist() == [f"val-{i}" for i in range(30)] * 2


def test_a_key_is_published_once(store: Store) -> None:
    publish(store, "search-00001")
    with pytest.raises(StorageError, match="`search-00001`: is already in"):
        publish(store, "search-00001", value=0.9)
    assert store.read("trial")["value"].tolist() == [0.5]


def test_files_travel_with_the_trial(store: Store, tmp_path: Path) -> None:
    weights = tmp_path / "local.bin"
    weights.write_bytes(b"abc")
    store.publish("search-00001", {"trial": [trial_row("search-00001")]}, {WEIGHTS: weights})
    assert store.fetch("search-00001", WEIGHTS, tmp_path / "new").read_bytes() == b"abc"
    store.delete_weights("search-00001")
    store.delete_weights("search-00001")
    assert store.keys() == ["search-00001"]
    with pytest.raises(StorageError, match=r"must exist, but there is no such file"):
        store.fetch("search-00001", WEIGHTS, tmp_path)


def test_the_study_row_can_be_replaced(store: Store) -> None:
    with pytest.raises(StorageError, match=r"must be a run's folder with a readable study\.parquet"):
        store.read_study()
    store.write_study(study_row())
    store.write_study(study_row(title="second"))
    assert store.read_study() == study_row(title="second")
    store.write_bytes("study.yaml", b"study: toy\n")
    assert store.read_bytes("study.yaml") == b"study: toy\n"
    with pytest.raises(StorageError, match=r"split\.csv`: must be a readable file"):
        store.read_bytes("split.csv")


def test_a_failed_write_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="`search-00001`: could not be written"):
        store.publish("search-00001", {"trial": [trial_row("search-00001")]}, {WEIGHTS: tmp_path / "nowhere"})
    assert store.keys() == []
    assert store.problems == []


def test_the_folder_appears_by_one_rename(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    write = pq.write_table

    def watched(*arguments: Any, **options: Any) -> None:
        seen.append(local.keys())
        write(*arguments, **options)

    monkeypatch.setattr(pq, "write_table", watched)
    local.publish("search-00001", {"trial": [trial_row("search-00001")]})
    assert seen == [[]] * len(TABLES)
    assert local.keys() == ["search-00001"]


def test_elsewhere_the_trial_table_is_written_last(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Store("runs", fs._MockFileSystem(datetime(2025, 1, 1, tzinfo=UTC)))
    written = []
    write = pq.write_table

    def watched(table: pa.Table, path: str, **options: Any) -> None:
        written.append(path)
        write(table, path, **options)

    monkeypatch.setattr(pq, "write_table", watched)
    remote.publish("search-00001", {"trial": [trial_row("search-00001")]})
    assert len(written) == len(TABLES)
    assert written[-1] == "runs/trials/search-00001/trial.parquet"


def test_a_late_process_leaves_what_another_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    late, other = Store("toy", storage), Store("toy", storage)
    write = pq.write_table

    def overtaken(table: pa.Table, path: str, **options: Any) -> None:
        write(table, path, **options)
        if "predictions" in path:
            monkeypatch.setattr(pq, "write_table", write)
            publish(other, "search-00001", value=0.75)

    monkeypatch.setattr(pq, "write_table", overtaken)
    with pytest.raises(StorageError, match="another process has just finished it"):
        publish(late, "search-00001", value=0.25)
    assert other.read("trial")["value"].tolist() == [0.75]
    assert len(other.read("predictions")) == 30
    assert other.problems == []


def test_a_query_stays_at_the_end_of_a_place() -> None:
    assert place_below("s3://bucket/q?region=eu&scheme=http", "a", "b") == (
        "s3://bucket/q/a/b?region=eu&scheme=http"
    )
    assert place_below("s3://bucket/q/", "a") == "s3://bucket/q/a"
    assert place_below("/runs/what?", "a") == "/runs/what?/a"
    assert Store("s3://bucket/q/a?region=eu-west-1").root == "bucket/q/a"


def test_damaged_missing_and_foreign_files_are_named_and_skipped(local: Store, tmp_path: Path) -> None:
    for key in ("a-1", "a-2", "a-3", "a-4", "a-5"):
        publish(local, key)
    trials = tmp_path / "toy" / "trials"
    damaged = trials / "a-1" / "predictions.parquet"
    damaged.write_bytes(damaged.read_bytes()[:200])
    (trials / "a-2" / "predictions.parquet").unlink()
    pq.write_table(pa.table({"trial": ["a-3"]}), trials / "a-3" / "predictions.parquet")
    shutil.copy(trials / "a-5" / "predictions.parquet", trials / "a-4" / "predictions.parquet")
    (trials / "notes.txt").write_text("mine")
    (trials / "half").mkdir()
    assert local.read("predictions")["trial"].unique().tolist() == ["a-5"]
    assert len(local.read("trial")) == 5
    local.read("predictions")
    text = "\n".join(local.problems)
    assert len(local.problems) == 6
    assert "`trials/a-1/predictions.parquet`: cannot be read" in text
    assert "`trials/a-2/predictions.parquet`: is missing; skipped." in text
    assert "`trials/a-3/predictions.parquet`: has other columns than the schema" in text
    assert "`trials/a-4/predictions.parquet`: holds rows of another trial than `a-4`" in text
    assert "`trials/notes.txt`: is no trial's folder" in text
    assert "`trials/half`: has no trial.parquet" in text


def test_a_copied_trial_folder_does_not_count_twice(local: Store, tmp_path: Path) -> None:
    publish(local, "search-00001")
    shutil.copytree(tmp_path / "toy/trials/search-00001", tmp_path / "toy/trials/search-00001.copy")
    assert len(local.read("trial")) == 1
    assert "holds rows of another trial than `search-00001.copy`" in local.problems[0]


def test_tables_are_checked_before_anything_is_written(local: Store) -> None:
    with pytest.raises(TypeError, match=r"`trial\.valve`: the column is unknown"):
        local.publish("a", {"trial": [trial_row("a", valve=1)]})
    with pytest.raises(TypeError, match="`epoch`: must be a table"):
        local.publish("a", {"trial": [trial_row("a")], "epoch": []})
    with pytest.raises(ValueError, match=r"`predictions\.trial`: must be `a` in every row, got \['b'\]"):
        local.publish("a", {"trial": [trial_row("a")], "predictions": fake_predictions("b").table()})
    with pytest.raises(ValueError, match="`trial`: must be one row, got 0"):
        local.publish("a", {})
    with pytest.raises(ValueError, match="`key`: must be letters"):
        local.publish("../a", {"trial": [trial_row("../a")]})
    assert local.keys() == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="`storage`: must be a place to write to"):
        Store(tmp_path / "file" / "runs").check_writable()
    with pytest.raises(
        StorageError, match="`storage`: must be a path or a URI that pyarrow can open, got `ftp://host/x`"
    ):
        Store("ftp://host/x")


def test_a_store_can_be_sent_to_another_process(local: Store) -> None:
    publish(pickle.loads(pickle.dumps(local)), "search-00001")
    assert local.keys() == ["search-00001"]


@pytest.mark.parametrize("reader", ["pandas", "duckdb", "polars"])
def test_other_readers_understand_the_files(local: Store, tmp_path: Path, reader: str) -> None:
    library = pytest.importorskip(reader, reason="a reader that is not a dependency")
    for key in ("a-1", "a-2"):
        publish(local, key)
    files = f"{tmp_path}/toy/trials/*/predictions.parquet"
    if reader == "duckdb":
        query = f"SELECT count(*), max(len(score)) FROM '{files}' WHERE trial = 'a-2'"
        total, greatest = library.sql(query).fetchall()[0]
    elif reader == "polars":
        rows = library.read_parquet(files).filter(library.col("trial") == "a-2")
        total, greatest = len(rows), rows["score"].list.len().max()
    else:
        rows = library.read_parquet(f"{tmp_path}/toy/trials/a-2/predictions.parquet")
        total, greatest = len(rows), rows["score"].map(len).max()
    assert (total, greatest) == (30, 3)
