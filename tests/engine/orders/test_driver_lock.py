"""One driver a run: a second is refused, a dead one is followed, and nothing stays behind."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import fs

from study.engine.orders.driver_lock import driving, require_free
from study.evidence.store import Store
from study.spec.errors import StorageError


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A local run, and one on a storage without renames."""
    if request.param == "folder":
        return Store(tmp_path / "run")
    return Store("run", fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))


def claims(store: Store) -> list[str]:
    found = store.filesystem.get_file_info(fs.FileSelector(f"{store.root}/driver", allow_not_found=True))
    return [info.base_name for info in found]


def test_a_second_driver_is_refused_and_the_first_goes_on(store: Store) -> None:
    with driving(store):
        with (
            pytest.raises(
                StorageError,
                match=rf"one driver at a time.*process {os.getpid()} on {platform.node()}.*since \d{{4}}-",
            ),
            driving(store),
        ):
            pass
        assert len(claims(store)) == 1
        with pytest.raises(StorageError, match="one driver at a time"):
            require_free(store)
    assert claims(store) == []
    with driving(store):
        pass


def test_the_claim_is_given_up_when_the_drive_is_interrupted(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt, match="by hand"), driving(store):
        raise KeyboardInterrupt("by hand")
    assert claims(store) == []


def test_a_dead_process_of_this_machine_is_followed(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    claim = {"host": platform.node(), "pid": child.pid, "born": "1", "since": "2026-01-01T00:00:00+00:00"}
    store.write_bytes("driver/dead.json", json.dumps(claim).encode())
    store.write_bytes(
        "driver/reused.json", json.dumps({**claim, "pid": os.getpid()}).encode()
    )  # the number lives on in another process
    with driving(store):
        assert len(claims(store)) == 1


def test_another_machines_claim_is_never_taken_over(store: Store) -> None:
    claim = {"host": "elsewhere", "pid": 1, "born": "1", "since": "2026-01-01T00:00:00+00:00"}
    store.write_bytes("driver/other.json", json.dumps(claim).encode())
    with (
        pytest.raises(StorageError, match=r"process 1 on elsewhere.*delete `.*driver/other.json`"),
        driving(store),
    ):
        pass
    assert claims(store) == ["other.json"]
