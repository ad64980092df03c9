import itertools
import multiprocessing
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import fs

from study.evidence.schema import TABLES
from study.evidence.store import WEIGHTS, Store
from tests.evidence.fakes import fake_predictions, trial_row

KEYS = ["t-0", "t-1", "t-2"]
WITH_WEIGHTS = "t-1"
ENDLESS = -1


class _Mortal(fs.FileSystem):  # type: ignore[misc]  # Arrow's classes have no types
    """A storage that kills its process before its n-th change, a half-written file included."""

    left: int

    def _step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def create_dir(self, path: str, **options: Any) -> None:
        self._step()
        super().create_dir(path, **options)

    def move(self, source: str, destination: str) -> None:
        self._step()
        super().move(source, destination)

    def delete_file(self, path: str) -> None:
        self._step()
        super().delete_file(path)

    def delete_dir(self, path: str) -> None:
        for info in self.get_file_info(fs.FileSelector(path)):
            self.delete_file(info.path)
        self._step()
        super().delete_dir(path)

    def open_output_stream(self, path: str, **options: Any) -> pa.NativeFile:
        self._step()
        if self.left == 0:
            with super().open_output_stream(path, **options) as stream:
                stream.write(b"PAR1")
            self._step()
        return super().open_output_stream(path, **options)


class _MortalDisk(_Mortal, fs.LocalFileSystem):  # type: ignore[misc]
    pass


class _MortalWithoutRenames(_Mortal, fs.SubTreeFileSystem):  # type: ignore[misc]
    pass


def storage(folder: Path, *, renames: bool, mortal: bool = False) -> fs.FileSystem:
    """The storage on which the run is, with its root."""
    if renames:
        return _MortalDisk() if mortal else fs.LocalFileSystem()
    kind = _MortalWithoutRenames if mortal else fs.SubTreeFileSystem
    return kind(str(folder), fs.LocalFileSystem())


def open_run(folder: Path, *, renames: bool) -> Store:
    """The run in the folder."""
    return Store(folder / "run" if renames else "run", storage(folder, renames=renames))


def publish(store: Store, key: str, folder: Path) -> None:
    """Publishes a trial; one of them has weights."""
    weights = folder / "weights"
    weights.write_bytes(b"abc")
    tables = {"trial": [trial_row(key)], "predictions": fake_predictions(key).table()}
    store.publish(key, tables, {WEIGHTS: weights} if key == WITH_WEIGHTS else {})


def tables_of(store: Store) -> Mapping[str, pa.Table]:
    """All rows of the run."""
    return {name: store.read_table(name) for name in TABLES}


def folders_of(store: Store) -> set[str]:
    """What is left in the folders of the trials."""
    return {"/".join(parts) for parts, _ in store.entries("trials")}


def pack(folder: str, steps: int, renames: bool) -> None:
    """Goes on with packing as a new start of the study does, and dies before a step."""
    filesystem = storage(Path(folder), renames=renames, mortal=True)
    filesystem.left = steps
    store = Store(f"{folder}/run" if renames else "run", filesystem)
    store.packs.tidy()
    packed = store.packs.homes()
    store.packs.write([key for key in sorted(store.keys()) if key not in packed])


@pytest.fixture(params=["path", "subtree", "mock"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "mock":
        return Store("run", fs._MockFileSystem(datetime(2025, 1, 1, tzinfo=UTC)))
    return open_run(tmp_path, renames=request.param == "path")


def test_a_pack_is_read_like_its_trials(store: Store, tmp_path: Path) -> None:
    for key in [*KEYS, "t-3"]:
        publish(store, key, tmp_path)
    before = tables_of(store)
    assert store.packs.write(["t-2", "t-0", "t-1"]) is not None
    assert store.keys() == [*KEYS, "t-3"]
    assert tables_of(store) == before
    assert folders_of(store) == {"t-1", f"t-1/{WEIGHTS}", "t-3", *(f"t-3/{name}.parquet" for name in TABLES)}
    some = store.read("predictions", ["t-3", "t-2", "t-0"], ["trial", "sample"], {"sample": "test-4"})
    assert some["trial"].tolist() == ["t-3", "t-2", "t-0"]
    assert store.problems == []


def test_weights_stay_until_they_are_deleted(store: Store, tmp_path: Path) -> None:
    for key in KEYS:
        publish(store, key, tmp_path)
    store.packs.write(KEYS)
    assert store.fetch(WITH_WEIGHTS, WEIGHTS, tmp_path / "fetched").read_bytes() == b"abc"
    store.delete_weights(WITH_WEIGHTS)
    assert not store.has_weights(WITH_WEIGHTS)
    assert folders_of(store) == set()
    assert store.keys() == KEYS


def test_heads_that_were_added_come_after_the_packed_rows(store: Store, tmp_path: Path) -> None:
    publish(store, "t-0", tmp_path)
    added = fake_predictions("t-0", "val").table()
    store.add_head("t-0", "knn", added, [])
    store.packs.write(["t-0"])
    assert store.read_table("predictions") == pa.concat_tables([fake_predictions("t-0").table(), added])


def test_a_damaged_trial_is_not_packed(tmp_path: Path) -> None:
    store = open_run(tmp_path, renames=True)
    for key in KEYS:
        publish(store, key, tmp_path)
    (tmp_path / "run" / "trials" / "t-0" / "scores.parquet").write_bytes(b"no")
    store.packs.write(KEYS)
    assert set(store.packs.homes()) == {"t-1", "t-2"}
    assert store.keys() == KEYS
    assert store.read("scores").empty
    assert store.problems[0].startswith("`trials/t-0/scores.parquet`: cannot be read")


def test_a_damaged_pack_is_named(tmp_path: Path) -> None:
    store = open_run(tmp_path, renames=True)
    publish(store, "t-0", tmp_path)
    name = store.packs.write(["t-0"])
    (tmp_path / "run" / "packs" / str(name) / "predictions.parquet").write_bytes(b"no")
    assert store.read("predictions").empty
    assert len(store.read("trial")) == 1
    assert [problem.split("`")[1] for problem in store.problems] == [f"packs/{name}/predictions.parquet"]


def test_a_trial_that_is_packed_while_it_is_read_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = (open_run(tmp_path, renames=True) for _ in range(2))
    for key in KEYS:
        publish(store, key, tmp_path)
    before = store.read_table("predictions")
    files_of = store._files_of

    def packed_meanwhile(table: str, keys: list[str]) -> list[tuple[str, str]]:
        other.packs.write(KEYS)
        return files_of(table, keys)

    monkeypatch.setattr(store, "_files_of", packed_meanwhile)
    assert store.read_table("predictions") == before
    assert store.problems == []


@pytest.mark.parametrize("kind", ["disk", "without renames"])
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path, kind: str) -> None:
    renames, whole = kind == "disk", tmp_path / "whole"
    whole.mkdir()
    store = open_run(whole, renames=renames)
    for key in KEYS:
        publish(store, key, tmp_path)
    before = tables_of(store)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        shutil.copytree(whole, folder)
        ended = []
        for _ in range(2):  # the second process goes on after the first, and may be killed, too
            process = processes.Process(target=pack, args=(str(folder), steps, renames))
            process.start()
            process.join()
            ended.append(process.exitcode)
            store = open_run(folder, renames=renames)
            assert tables_of(store) == before
            assert store.keys() == KEYS
        pack(str(folder), ENDLESS, renames)
        assert tables_of(store) == before
        assert folders_of(store) == {"t-1", f"t-1/{WEIGHTS}"}
        if ended[0] == 0:
            break
        assert ended[0] == -signal.SIGKILL
    assert steps > 25
