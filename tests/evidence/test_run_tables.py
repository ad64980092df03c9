from pathlib import Path

import pytest

from study.evidence.run_tables import table_of_run, write_run_table
from study.evidence.store import Store

ROW = {
    "sample": "s",
    "patient": "p",
    "split": "test",
    "age": None,
    "sex": "Female",
    "findings": None,
    "target": [1, None],
    "synthetic": False,
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_run_table(store, "samples", [ROW])
    write_run_table(store, "samples", [ROW, {**ROW, "sample": "t"}])
    found = table_of_run(store, "samples")
    assert found["sample"].tolist() == ["s", "t"]
    assert found["age"].isna().all()
    assert store.problems == []


def test_without_a_file_there_are_columns_and_no_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert list(table_of_run(store, "samples").columns) == list(ROW)
    assert len(table_of_run(store, "examples")) == 0
    assert store.problems == []


@pytest.mark.parametrize(("content", "said"), [(b"PAR1 no", "cannot be read"), (None, "other columns")])
def test_a_damaged_file_is_named_and_skipped(tmp_path: Path, content: bytes | None, said: str) -> None:
    store = Store(tmp_path)
    write_run_table(store, "samples", [ROW])
    store.write_bytes("examples.parquet", content or (tmp_path / "samples.parquet").read_bytes())
    assert table_of_run(store, "examples").empty
    assert table_of_run(store, "examples").empty
    assert len(store.problems) == 1
    assert said in store.problems[0]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"`samples\.age`: the column is missing"):
        write_run_table(Store(tmp_path), "samples", [{k: v for k, v in ROW.items() if k != "age"}])
