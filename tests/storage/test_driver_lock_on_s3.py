"""One driver a run on an object store, which can neither rename nor say that a file is new."""

import json
import time
from threading import Barrier, Event, Thread

import pytest

from study.engine.orders import driver_lock
from study.engine.orders.driver_lock import driving
from study.evidence.run_folder import LostRunError
from study.evidence.store import Store
from study.spec.errors import StorageError
from tests.evidence.fakes import trial_row
from tests.storage.s3 import BUCKET, Server


def drive(store: Store, together: Barrier, over: Event, ends: list[str]) -> None:
    together.wait()
    try:
        with driving(store):
            ends.append("drives")
            over.wait()
    except StorageError as error:
        ends.append(str(error))


@pytest.mark.parametrize(("num_drivers", "starts"), [(4, 10), pytest.param(2, 200, marks=pytest.mark.slow)])
def test_of_drivers_that_start_in_the_same_moment_one_gets_the_run(
    s3: Server, monkeypatch: pytest.MonkeyPatch, num_drivers: int, starts: int
) -> None:
    monkeypatch.setattr(driver_lock, "POLLS_S", (0.002, 0.02))
    for number in range(starts):
        together, over = Barrier(num_drivers), Event()
        ends: list[str] = []
        store = s3.uri(f"runs/{number}")
        drivers = [
            Thread(target=drive, args=(Store(store), together, over, ends)) for _ in range(num_drivers)
        ]
        for driver in drivers:
            driver.start()
        try:
            while len(ends) < num_drivers:
                time.sleep(0.001)
                assert ends.count("drives") <= 1, number
        finally:  # or the threads would never end
            over.set()
        for driver in drivers:
            driver.join()
        assert ends.count("drives") == 1, (number, ends)
        refused = [end for end in ends if "a run has one driver at a time" in end]
        assert len(refused) == num_drivers - 1, (number, ends)
    left = s3.client().list_objects_v2(Bucket=BUCKET, Prefix="runs/")
    assert not [item["Key"] for item in left["Contents"] if item["Key"].endswith(("json", "beat"))]


def test_a_driver_that_paused_for_longer_than_its_lease_writes_nothing_more(
    s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, follower = Store(s3.uri("runs/a")), Store(s3.uri("runs/a"))
    monkeypatch.setattr(driver_lock, "Claim", OnAnotherMachine)
    with driving(paused):
        paused.publish("search-00001", {"trial": [trial_row("search-00001")]})
        with pytest.raises(StorageError, match="one driver at a time"), driving(follower):
            pass
        monkeypatch.setattr(driver_lock, "LEASE_S", 1.0)
        time.sleep(3.0)  # an object store counts whole seconds
        with driving(follower):
            assert follower.fence != paused.fence
            with pytest.raises(LostRunError, match="another one that has taken it over"):
                paused.publish("search-00002", {"trial": [trial_row("search-00002")]})
            follower.publish("search-00002", {"trial": [trial_row("search-00002", value=0.75)]})
            with pytest.raises(LostRunError, match="another one that has taken it over"):
                paused.write_bytes("pending/search-00003/order.json", b"{}")
    assert follower.keys() == ["search-00001", "search-00002"]
    assert follower.read("trial", ["search-00002"])["value"].item() == 0.75


class OnAnotherMachine(driver_lock.Claim):
    """A claim whose process nobody here can know to have ended."""

    @property
    def is_dead(self) -> bool:
        return False


def test_a_rival_that_died_before_it_decided_does_not_hold_up_the_run(
    s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(s3.uri("runs/a"))
    claim = {"host": "elsewhere", "pid": 1, "born": "1", "since": "2026-01-01T00:00:00+00:00"}
    store.write_bytes("driver/0.json", json.dumps(claim).encode())
    monkeypatch.setattr(driver_lock, "DECIDE_S", 0.5)
    with pytest.raises(StorageError, match="process 1 on elsewhere"), driving(store):
        pass
