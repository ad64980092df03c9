"""An object store that is away for half a minute is waited for; nothing is lost and nothing is doubled."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from study.data import patient_storage
from study.engine.orders.driver_lock import driving
from study.engine.orders.publishing import publish_once, retry_write
from study.evidence.store import Store
from study.spec.errors import StorageError
from tests.evidence.fakes import trial_row
from tests.storage.s3 import Server

KEY = "search-00001"
TABLES = {"trial": [trial_row(KEY)]}


@contextmanager
def outage(server: Server, begins: Callable[[], bool], seconds: float) -> Iterator[None]:
    """Refuses every request from a moment on, for so long."""

    def refuse() -> None:
        while not begins():
            time.sleep(0.001)
        server.refuses = 1.0
        time.sleep(seconds)
        server.refuses = 0.0

    thread = Thread(target=refuse)
    thread.start()
    yield
    thread.join()


def published(server: Server) -> list[str]:
    """Paths of the files of trials that the server took, in their order."""
    return [path for method, path in server.requests if method == "PUT" and path.endswith(".parquet")]


@pytest.mark.slow
def test_an_outage_in_the_middle_of_publishing_is_waited_for(
    s3: Server, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(s3.uri("runs/a"))
    with (
        caplog.at_level(logging.WARNING),
        driving(store),
        outage(s3, lambda: len(published(s3)) == 3, seconds=30.0),
    ):
        retry_write(store, f"trials/{KEY}", lambda: publish_once(store, KEY, TABLES))
        publish_once(store, KEY, TABLES)
    assert caplog.text.count("The storage does not answer, and the study waits for it") == 1
    assert caplog.text.count("The storage answers again") == 1
    assert [path for path in published(s3) if path.endswith("trial.parquet")] == [
        f"/eyes/runs/a/trials/{KEY}/trial.parquet"
    ]
    assert store.keys() == [KEY]
    assert len(store.read("trial")) == 1
    assert store.problems == []


@pytest.mark.slow
def test_a_store_that_stays_away_ends_with_one_message(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_storage, "WAITS_S", (0.0, 0.0))
    store = Store(s3.uri("runs/a"))
    s3.refuses = 1.0
    with pytest.raises(StorageError, match=r"trials/search-00001\?endpoint_.*must be written, got: .*503"):
        retry_write(store, f"trials/{KEY}", lambda: publish_once(store, KEY, TABLES))


def test_a_store_that_refuses_is_named_before_anything_is_run(s3: Server) -> None:
    remedy = r"Check its name, its region .`\?region=...`. and your credentials, or choose another one"
    with pytest.raises(StorageError, match=rf"s3://missing/runs.*Bucket 'missing' not found.*{remedy}"):
        Store(s3.uri("runs").replace("eyes", "missing", 1)).check_writable()
    s3.refuses, s3.refusal = 1.0, "403 Forbidden"
    with pytest.raises(StorageError, match=rf"s3://eyes/runs.*ACCESS_DENIED.*{remedy}"):
        Store(s3.uri("runs")).check_writable()
