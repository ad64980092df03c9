"""A folder is made by one of those who want it at the same time, and appears whole or not at all."""

import fcntl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from study.data.build_once import build_once
from study.spec.errors import StorageError

NUM = 4


def filler(calls: list[str], text: str = "whole") -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        calls.append(text)
        (folder / "mark").write_text(text)

    return fill


def unlockable(*_: object) -> None:
    raise OSError("no locks here")


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        build_once(tmp_path / "deep" / "home", "mark", filler(calls))
    assert calls == ["whole"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["home"]


def test_the_first_works_and_the_others_wait(tmp_path: Path) -> None:
    calls: list[str] = []
    start, seen = threading.Barrier(NUM), []

    def fill(folder: Path) -> None:
        seen.append((tmp_path / "home").exists())
        filler(calls)(folder)

    def want(_: int) -> str:
        start.wait()
        build_once(tmp_path / "home", "mark", fill)
        return (tmp_path / "home" / "mark").read_text()

    with ThreadPoolExecutor(NUM) as pool:
        assert list(pool.map(want, range(NUM))) == ["whole"] * NUM
    assert calls == ["whole"]
    assert seen == [False]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_other_folders_do_not_wait(tmp_path: Path) -> None:
    calls: list[str] = []

    def fill(folder: Path) -> None:
        build_once(tmp_path / "inner", "mark", filler(calls, "inner"))
        filler(calls, "outer")(folder)

    build_once(tmp_path / "outer", "mark", fill)
    assert calls == ["inner", "outer"]


def test_without_locks_the_first_to_finish_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", unlockable)
    calls: list[str] = []

    def fill(folder: Path) -> None:
        build_once(tmp_path / "home", "mark", filler(calls, "meanwhile"))
        filler(calls, "late")(folder)

    build_once(tmp_path / "home", "mark", fill)
    assert calls == ["meanwhile", "late"]
    assert (tmp_path / "home" / "mark").read_text() == "meanwhile"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_lock_that_a_killed_process_left_behind_is_taken(tmp_path: Path) -> None:
    left = tmp_path / ".home.lock"
    with left.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    build_once(tmp_path / "home", "mark", filler([]))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (OSError(28, "No space left on device"), StorageError),
        (KeyboardInterrupt("No space left"), KeyboardInterrupt),
    ],
)
def test_what_is_not_whole_never_appears(
    tmp_path: Path, raised: BaseException, seen: type[BaseException]
) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("")
        raise raised

    with pytest.raises(seen, match="No space left"):
        build_once(tmp_path / "home", "mark", fill)
    assert not list(tmp_path.iterdir())
    build_once(tmp_path / "home", "mark", filler([]))
    assert (tmp_path / "home" / "mark").is_file()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageError, match=r"file`: the cache must be writable, got: .*choose another folder"
    ):
        build_once(tmp_path / "file" / "home", "mark", filler([]))
