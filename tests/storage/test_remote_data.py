"""Data sets on an object store."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from study.data import patient_storage, remote
from study.data.cohort import open_cohort
from study.data.source import open_dataset
from study.spec.components import Component
from study.spec.data_section import DataSpec
from study.spec.errors import OtherDataError, StorageError
from tests.storage.s3 import BUCKET, Server

NUM = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sheet with patients, and their images."""
    folder = tmp_path / "here"
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(NUM):
        rows.append((f"p{i}", f"images/{i}_l.png", f"images/{i}_r.png", i % 2))
        for eye in "lr":
            pixels = np.random.default_rng(2 * i + (eye == "l")).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{i}_{eye}.png")
    names = ["patient", "left", "right", "sick"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "eyes.csv", index=False)
    (folder / "everything.zip").write_bytes(b"the same again")
    return folder


@pytest.fixture
def there(s3: Server, folder: Path) -> str:
    """The URI of the sheet's copy on the server."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.client().upload_file(str(path), BUCKET, f"odir/{path.relative_to(folder).as_posix()}")
    s3.requests.clear()
    return s3.uri("odir/eyes.csv")


def data(root: str) -> DataSpec:
    dataset = Component(name="table", args={"labels": ["sick"], "patient": "patient"})
    return DataSpec(dataset=dataset, root=root, image_px=16)


def test_data_on_an_object_store_are_those_of_the_folder(
    there: str, s3: Server, folder: Path, tmp_path: Path
) -> None:
    here, copied = open_dataset(data(str(folder / "eyes.csv"))), open_dataset(data(there), tmp_path / "a")
    pd.testing.assert_frame_equal(copied.table, here.table)
    np.testing.assert_array_equal(copied.targets, here.targets)
    for key in (key for keys in here.keys for key in keys if key):
        np.testing.assert_array_equal(copied.load(key), here.load(key))
    assert copied.root == there
    assert not any(path.endswith(".zip") for method, path in s3.requests if method == "GET")
    # another node has the same data, which its trials check
    assert open_dataset(data(there), tmp_path / "b").fingerprint == copied.fingerprint


def test_a_node_copies_once_and_goes_on_after_a_kill(there: str, s3: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_dataset(data(there), tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(number, 2 * NUM + 1) for number in range(1, 2 * NUM + 2)]
    (copy,) = (tmp_path / remote.COPIES).iterdir()
    s3.requests.clear()
    open_dataset(data(there), tmp_path)
    assert fetched(s3) == []
    (copy / remote.WHOLE).unlink()  # as after a kill: some files are whole, one is not, one is missing
    (copy / "images" / "0_l.png").unlink()
    (copy / "images" / "1_l.png").write_bytes(b"ha")
    open_dataset(data(there), tmp_path)
    assert fetched(s3) == ["0_l.png", "1_l.png"]
    s3.client().put_object(Bucket=BUCKET, Key="odir/images/0_l.png", Body=b"another photograph")
    before, now = copy, open_dataset(data(there), tmp_path)
    assert len(list((tmp_path / remote.COPIES).iterdir())) == 2
    assert now.load.folder != str(before)  # type: ignore[attr-defined]


def fetched(s3: Server) -> list[str]:
    """Names of the images that were read."""
    paths = (path for method, path in s3.requests if method == "GET")
    return sorted(path.rpartition("/")[2] for path in paths if path.endswith(".png"))


def test_refused_requests_are_tried_again(
    there: str, s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_storage, "WAITS_S", (0.0,) * 20)
    s3.refuses = 0.25
    cohort = open_cohort(data(there), tmp_path)
    assert len(cohort.pairs) == NUM
    assert cohort.cache.bad == {}


def test_a_disk_that_is_full_is_no_fault_of_the_store(there: str, tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with (
        patch("study.data.remote.os.utime", side_effect=full),
        pytest.raises(StorageError, match=r"the cache must be writable, got: .*No space left on device"),
    ):
        open_dataset(data(there), tmp_path)


def test_what_is_not_there_or_does_not_fit_is_said(there: str, s3: Server, tmp_path: Path) -> None:
    with pytest.raises(OtherDataError, match=r"got nothing at `s3://eyes/odri\?"):
        open_dataset(data(s3.uri("odri")), tmp_path)
    with pytest.raises(OtherDataError, match=r"must be a place that this machine can read, got `s4://eyes"):
        open_dataset(data("s4://eyes/odir"), tmp_path)
    with (
        patch.object(remote, "_free_bytes", lambda folder: 10),
        pytest.raises(StorageError, match=r"must have room for 0.00 GB of `s3://eyes/odir/eyes.csv"),
    ):
        open_dataset(data(there), tmp_path)
    assert not list(tmp_path.glob("**/.*.lock"))
