"""After a kill, a refused write or a lost process nothing is lost or doubled, and the search is the same."""

import operator
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from study.engine.orders import publishing
from study.engine.orders.pending_orders import delete_partial_writes
from study.engine.orders.publishing import retry_write
from study.evidence.store import Store
from study.spec.errors import StorageError
from tests.engine.fake_study import Failing, conduct, require_whole, run, search_of, train


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "WAITS_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """The search as it goes when nothing happens."""
    store = Store(tmp_path_factory.mktemp("whole") / "a")
    run(conduct(store))
    require_whole(store)
    found = search_of(store)
    assert {state for _, _, state in found} == {"complete", "pruned"}
    return found


class Killed(BaseException):
    """A SIGKILL: nothing below it runs."""


class Fuse:
    """Kills at the n-th moment."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed("now")


def test_a_kill_at_any_moment_changes_nothing(
    tmp_path: Path, undisturbed: list[tuple[int, str, str]]
) -> None:
    for moment in range(1, 29, 3):
        store = Store(tmp_path / str(moment))
        with pytest.raises(Killed, match="now"):
            run(conduct(store), killed=Fuse(moment))
        finished = {row["trial"]: row["ended"] for row in store.read_table("trial").to_pylist()}
        run(conduct(store))
        require_whole(store)
        assert search_of(store) == undisturbed
        assert (
            finished.items()
            <= {row["trial"]: row["ended"] for row in store.read_table("trial").to_pylist()}.items()
        )


def test_what_a_killed_process_was_writing_is_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    run(conduct(store, **{"search.trials": 1}))
    half = tmp_path / "a" / "trials" / ".search-00001.0123abcd"
    half.mkdir()
    (half / "epochs.parquet").write_bytes(b"PAR1")
    (tmp_path / "a" / "study.yaml.0123abcd.part").write_bytes(b"study:")
    delete_partial_writes(store)
    assert not half.exists()
    assert not list((tmp_path / "a").glob("*.part"))
    assert len(search_of(store)) == 1
    assert store.problems == []


def test_a_finished_study_runs_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    run(conduct(store))
    again = conduct(store)
    assert again.plan.done
    assert again.next() is None


def test_a_storage_that_stumbles_is_tried_again(
    tmp_path: Path, undisturbed: list[tuple[int, str, str]]
) -> None:
    store = Store("run", fs.PyFileSystem(Failing(str(tmp_path), lambda n: n % 17 == 0)))
    conductor = conduct(store)
    run(conductor)
    assert conductor.problem is None
    require_whole(store)
    assert search_of(store) == undisturbed


def test_a_storage_that_keeps_refusing_ends_the_study_and_loses_nothing(
    tmp_path: Path, undisturbed: list[tuple[int, str, str]]
) -> None:
    for broken_at in (3, 20, 41):
        handler = Failing(str(tmp_path / str(broken_at)), partial(operator.le, broken_at))
        (tmp_path / str(broken_at)).mkdir()
        store = Store("run", fs.PyFileSystem(handler))
        conductor = conduct(store)
        run(conductor)
        assert conductor.problem is not None
        assert "No space left on device" in str(conductor.problem)
        handler.refuses = lambda n: False
        run(conduct(store))
        require_whole(Store("run", store.filesystem))  # the old one has noted what was unfinished meanwhile
        assert search_of(store) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_ends_the_study_and_loses_nothing(
    small_disk: Path, undisturbed: list[tuple[int, str, str]]
) -> None:
    store = Store(small_disk / "a")
    conductor = conduct(store)
    run_until = 2
    for _ in range(run_until):
        order = conductor.next()
        assert order is not None
        train(conductor, order)
    with pytest.raises(OSError, match="No space left"), (small_disk / "other").open("wb") as other:
        other.write(b"0" * 1_000_000)
    run(conductor)
    assert "No space left on device" in str(conductor.problem)
    assert len(search_of(store)) == run_until
    assert store.problems == []
    (small_disk / "other").unlink()
    run(conduct(store))
    require_whole(store)
    assert search_of(store) == undisturbed


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median", "none"])
def test_the_deterministic_search_does_not_depend_on_who_is_done_first(tmp_path: Path, pruner: str) -> None:
    settings: dict[str, Any] = {
        "search.parallel": "deterministic",
        "resources.concurrent": 3,
        "search.pruner": pruner,
    }
    found = []
    for seed, slots in ((1, 3), (2, 3), (3, 3), (4, 2), (5, 1)):
        store = Store(tmp_path / str(seed))
        run(conduct(store, **settings), slots, seed)
        require_whole(store)
        found.append(search_of(store))
    assert all(f == found[0] for f in found)


def test_the_deterministic_search_survives_a_kill(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"search.parallel": "deterministic", "resources.concurrent": 3}
    whole = Store(tmp_path / "whole")
    run(conduct(whole, **settings), 3)
    for moment in (5, 11, 17, 25):
        store = Store(tmp_path / str(moment))
        with pytest.raises(Killed, match="now"):
            run(conduct(store, **settings), 3, moment, Fuse(moment))
        run(conduct(store, **settings), 3, moment + 1)
        require_whole(store)
        assert search_of(store) == search_of(whole)


def test_repeats_of_the_best_follow_the_search(tmp_path: Path) -> None:
    confirm = {"top": 2, "seeds": [7, 8], "folds": 2}
    store = Store(tmp_path / "a")
    conductor = conduct(store, **{"search.confirm": confirm})
    assert conductor.plan.num_left == 8 + 2 * 2 * 2 + 1
    run(conductor)
    assert conductor.plan.num_left == 0
    trials = store.read("trial")
    repeats = trials[trials["role"] == "confirm"]
    best = (
        trials[(trials["role"] == "search") & (trials["state"] == "complete")]
        .sort_values("value")["trial"]
        .tolist()[-2:]
    )
    assert set(repeats["variant"]) == set(best)
    assert sorted(zip(repeats["seed"], repeats["fold"], strict=True)) == sorted(
        [(7, 0), (7, 1), (8, 0), (8, 1)] * 2
    )
    assert conduct(store, **{"search.confirm": confirm}).plan.num_left == 0


def test_insisting_ends_with_the_place_and_the_cause() -> None:
    tries = []

    def write() -> None:
        tries.append(1)
        raise OSError("the disk is on fire")

    with pytest.raises(
        StorageError, match=r"`runs/a`: must be written, got: the disk is on fire. Finished trials are kept"
    ):
        retry_write(Store("runs"), "a", write)
    assert len(tries) == 3
