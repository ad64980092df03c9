"""A storage that is asked again: what is done by an attempt whose answer was lost stays done."""

from pathlib import Path

import pytest
from pyarrow import fs

from study.data import patient_storage
from study.data.patient_storage import Patience


class Forgetful(Patience):
    """Deletes, and then says that it could not be reached, as often as it is told."""

    def __init__(self, storage: fs.FileSystem, losses: int) -> None:
        super().__init__(storage)
        self.losses = losses

    def delete_file(self, path: str) -> None:
        self._storage.delete_file(path)
        if self.losses:
            self.losses -= 1
            raise OSError("connection reset")


def patience(folder: Path, losses: int) -> Patience:
    local = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    return Patience(fs.PyFileSystem(Forgetful(local, losses)))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_storage, "WAITS_S", (0.0, 0.0))


@pytest.mark.parametrize("losses", [0, 1])
def test_a_file_is_deleted_though_the_answer_is_lost(tmp_path: Path, losses: int) -> None:
    (tmp_path / "a").touch()
    patience(tmp_path, losses).delete_file("a")
    assert not (tmp_path / "a").exists()


def test_a_file_that_was_never_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a"):
        patience(tmp_path, 0).delete_file("a")
