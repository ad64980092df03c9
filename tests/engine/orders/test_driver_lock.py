"""One driver a run: a second is refused, a dead one is followed, and nothing stays behind."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow import fs

from study.engine.orders import driver_lock
from study.engine.orders.driver_lock import driving
from study.engine.orders.pending_orders import PendingOrders
from study.engine.start.start import put_aside
from study.evidence.run_folder import LostRunError
from study.evidence.store import Store
from study.spec.errors import StorageError
from tests.evidence.fakes import trial_row


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A local run, and one on a storage without renames."""
    if request.param == "folder":
        return Store(tmp_path / "run")
    return Store("run", fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))


def files(store: Store) -> list[str]:
    found = store.filesystem.get_file_info(fs.FileSelector(f"{store.root}/driver", allow_not_found=True))
    return [info.base_name for info in found]


def claims(store: Store) -> list[str]:
    return [name for name in files(store) if name.endswith(".json")]


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
            put_aside(store)
    assert files(store) == []
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


ELSEWHERE = {"host": "elsewhere", "pid": 1, "born": "1", "since": "2026-01-01T00:00:00+00:00"}


def age(store: Store, tmp_path: Path, name: str, seconds: float) -> None:
    """Makes a claim older than it is."""
    path = tmp_path / "run" / "driver" / name
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_another_machines_claim_counts_while_it_gives_signs_of_life(store: Store, tmp_path: Path) -> None:
    store.write_bytes("driver/other.json", json.dumps(ELSEWHERE).encode())
    age(store, tmp_path, "other.json", 3600)
    store.write_bytes("driver/other.beat", b"")
    refusal = r"process 1 on elsewhere.*the same command again in \d+ s, or delete `.*driver/other.json`"
    with pytest.raises(StorageError, match=refusal), driving(store):
        pass
    assert claims(store) == ["other.json"]


def test_a_claim_without_signs_of_life_is_followed(store: Store, tmp_path: Path) -> None:
    for name in ("other.json", "other.beat"):
        store.write_bytes(f"driver/{name}", json.dumps(ELSEWHERE).encode())
        age(store, tmp_path, name, driver_lock.LEASE_S + 60)
    with driving(store):
        assert len(claims(store)) == 1
    assert claims(store) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": "x"}'])
def test_a_claim_that_cannot_be_read_is_not_gone(store: Store, tmp_path: Path, content: bytes) -> None:
    store.write_bytes("driver/other.json", content)
    with (
        pytest.raises(StorageError, match="one driver at a time, got a claim that cannot be"),
        driving(store),
    ):
        pass
    assert claims(store) == ["other.json"]
    age(store, tmp_path, "other.json", driver_lock.LEASE_S + 60)
    with driving(store):
        pass


def test_a_storage_that_refuses_to_read_a_claim_does_not_free_the_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> bytes:
        raise StorageError("503 Slow Down")

    with driving(store):
        second = Store(store.where, store.filesystem)
        monkeypatch.setattr(second, "read_bytes", refuse)
        with pytest.raises(StorageError, match=r"cannot be read .503 Slow Down"), driving(second):
            pass


def test_a_driver_refreshes_its_claim(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_lock, "BEAT_S", 0.01)
    with driving(store):
        (claim,) = claims(store)
        age(store, tmp_path, claim, 3600)
        beat = tmp_path / "run" / "driver" / claim.replace("json", "beat")
        first = beat.stat().st_mtime_ns
        while beat.stat().st_mtime_ns == first:
            time.sleep(0.01)
        second = Store(store.where, store.filesystem)
        with pytest.raises(StorageError, match="one driver at a time"), driving(second):
            pass
    assert claims(store) == []


def test_a_driver_that_lost_its_lease_publishes_nothing_more(store: Store, tmp_path: Path) -> None:
    second = Store(store.where, store.filesystem)
    in_trial = Store(store.where, store.filesystem)
    with driving(store):
        in_trial.fence = store.fence
        store.publish("search-00001", {"trial": [trial_row("search-00001")]})
        (claim,) = claims(store)
        for name in (claim, claim.replace("json", "beat")):  # it was paused
            age(store, tmp_path, name, driver_lock.LEASE_S + 60)
        with driving(second):
            for late in (store, in_trial):
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    late.publish("search-00002", {"trial": [trial_row("search-00002")]})
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    late.write_bytes("pending/a/order.json", b"{}")
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    late.packs.write(["search-00001"])
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    PendingOrders(late).drop("search-00003")
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    PendingOrders(late).save_checkpoint("search-00003", {})
                with pytest.raises(LostRunError, match="another one that has taken it over"):
                    late.delete_weights("search-00001")
            second.publish("search-00003", {"trial": [trial_row("search-00003")]})
        assert second.keys() == ["search-00001", "search-00003"]


def test_an_outage_at_the_end_does_not_hide_the_error_of_the_study(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> bool:
        raise OSError("no route to host")

    monkeypatch.setattr(store, "exists", refuse)
    with pytest.raises(StorageError, match="must be written"), driving(store):
        raise StorageError("`runs`: must be written")


def test_a_fresh_run_moves_an_earlier_one_aside(store: Store, tmp_path: Path) -> None:
    store.publish("search-00001", {"trial": [trial_row("search-00001")]})
    store.write_bytes("study.yaml", b"study: toy")
    put_aside(store)
    assert store.keys() == []
    (aside,) = tmp_path.glob("run.before-*")
    earlier = Store(aside)
    assert earlier.keys() == ["search-00001"]
    assert earlier.read_bytes("study.yaml") == b"study: toy"
    assert not (tmp_path / "run" / "study.yaml").exists()


def test_a_claim_that_is_withdrawn_and_written_again_is_not_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = "driver/own", "driver/other"
    for name in (own, other):
        driver_lock._write_claim(store, name)
    there = store.exists
    answers = iter([False])  # it is away for the moment of one look

    def withdrawn(name: str) -> bytes:
        raise StorageError(f"`{name}`: must be a readable file")

    monkeypatch.setattr(store, "read_bytes", withdrawn)
    monkeypatch.setattr(store, "exists", lambda path: next(answers, None) is None and there(path))
    assert driver_lock._rivals(store, own) == []
    assert there(store.path(f"{other}.json"))
