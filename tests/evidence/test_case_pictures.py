from pathlib import Path

from study.evidence.case_pictures import read_pictures, write_pictures
from study.evidence.store import Store


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_pictures(store) == {}
    assert store.problems == []
    pictures = {"b": [b"left", b"right"], "a": [b"only"]}
    write_pictures(store, pictures, synthetic=True)
    assert read_pictures(store) == pictures
    write_pictures(store, {"c": [b"next"]}, synthetic=False)
    assert read_pictures(store) == {"c": [b"next"]}


def test_a_damaged_file_is_a_problem_and_no_picture(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_pictures(store, {"a": [b"only"]}, synthetic=True)
    (tmp_path / "cases.parquet").write_bytes(b"damaged")
    assert read_pictures(store) == {}
    assert "cases.parquet cannot be read" in store.problems[0]
    (tmp_path / "cases.parquet").unlink()
    assert read_pictures(store) == {}
