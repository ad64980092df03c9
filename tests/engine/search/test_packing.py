from pathlib import Path

import pytest
from pyarrow import fs

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.packing import Packing
from study.evidence.records import Role, State
from study.evidence.store import Store
from tests.engine.fake_study import ended
from tests.evidence.fakes import trial_row

KEYS = [f"search-{number:05d}" for number in range(7)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "run")
    for key in KEYS:
        store.publish(key, {"trial": [trial_row(key)]})
    return store


def end(packing: Packing, key: str) -> None:
    packing.ended(ended(TrialOrder(key=key, role=Role.SEARCH, spec={}), State.COMPLETE, [0.5], "", []))


def test_trials_are_packed_when_there_are_enough(store: Store) -> None:
    with Packing(store, KEYS[:2], trials_of_pack=3) as packing:
        for key in KEYS[2:]:
            end(packing, key)
    packed = store.packs.homes()
    assert len(packed) in (3, 6)  # the last ones may come while the thread ends
    assert store.keys() == KEYS
    assert len(store.read("trial")) == len(KEYS)


def test_what_an_earlier_start_left_is_packed(store: Store) -> None:
    with Packing(store, KEYS[:3], trials_of_pack=3):
        pass
    assert sorted(store.packs.homes()) == KEYS[:3]
    with Packing(store, KEYS, trials_of_pack=3):
        pass
    assert sorted(store.packs.homes()) == KEYS[:6]


def test_a_storage_that_refuses_keeps_the_trials(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: str, fill: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(store, "write_folder", refuse)
    with Packing(store, KEYS, trials_of_pack=4):
        pass
    assert "4 trials are not packed: no space left" in caplog.text
    assert store.packs.homes() == {}
    assert len(store.read("trial")) == len(KEYS)
    assert not store.filesystem.get_file_info(fs.FileSelector(store.path("packs"), allow_not_found=True))
