"""An object store that may be away for minutes: whatever is asked of it is asked again until it answers."""

import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")
# Between attempts, each of which the store's own library gives up after some seconds.
WAITS_S: tuple[float, ...] = (0.2, 1.0, 4.0, 8.0, *(15.0,) * 6)
FOR_GOOD = ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "NO_SUCH", "HTTP status 4")
"""Words of refusals that no waiting changes."""


class Patience(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """Asks a storage again where it refuses; `PyFileSystem` makes a file system of it.

    A file is read and written in one piece, so that a refusal in the middle is made good by doing it again.

    Args:
        storage: The storage.

    Attributes:
        waits_s: Seconds to wait after each attempt but the last.
    """

    def __init__(self, storage: fs.FileSystem) -> None:
        self._storage, self.waits_s = storage, WAITS_S
        self._lock, self._away = Lock(), False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patience) and bool(self._storage == other._storage)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        for number, wait_s in enumerate(self.waits_s):
            try:
                answer = question()
            except OSError as error:
                if _is_final(error):
                    raise
                if number:  # one refused request is nothing to speak of
                    self._note(f"The storage does not answer, and the study waits for it: {error}", away=True)
                time.sleep(wait_s)
            else:
                self._note("The storage answers again.", away=False)
                return answer
        return question()

    def _delete(self, delete: Callable[[], None]) -> None:
        """What is gone when it is asked again was deleted by an attempt whose answer was lost."""
        attempts = 0

        def attempt() -> None:
            nonlocal attempts
            attempts += 1
            try:
                delete()
            except FileNotFoundError:
                if attempts == 1:
                    raise

        self._ask(attempt)

    def _note(self, line: str, *, away: bool) -> None:
        """Says once that the storage is away or is back, however many threads ask."""
        if self._away == away:
            return
        with self._lock:
            if self._away != away:
                self._away = away
                LOG.warning("%s", line)

    def get_type_name(self) -> str:
        """The name of the kind of storage."""
        return str(self._storage.type_name)

    def normalize_path(self, path: str) -> str:
        """The path as the storage wants it."""
        return str(self._storage.normalize_path(path))

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        """What is at the paths."""
        return self._ask(lambda: self._storage.get_file_info(paths))

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        """What is in a folder."""
        return self._ask(lambda: self._storage.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        """Makes a folder."""
        self._ask(lambda: self._storage.create_dir(path, recursive=recursive))

    def delete_dir(self, path: str) -> None:
        """Deletes a folder."""
        self._delete(lambda: self._storage.delete_dir(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Deletes what is in a folder."""
        self._ask(lambda: self._storage.delete_dir_contents(path, missing_dir_ok=missing_dir_ok))

    def delete_root_dir_contents(self) -> None:
        """Refuses: nothing here deletes whole buckets."""
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        """Deletes a file."""
        self._delete(lambda: self._storage.delete_file(path))

    def move(self, src: str, dest: str) -> None:
        """Moves a file."""
        self._ask(lambda: self._storage.move(src, dest))

    def copy_file(self, src: str, dest: str) -> None:
        """Copies a file."""
        self._ask(lambda: self._storage.copy_file(src, dest))

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """Reads a file."""
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Reads a file."""

        def read() -> bytes:
            with self._storage.open_input_stream(path, compression=None) as stream:
                return bytes(stream.read())

        return pa.BufferReader(self._ask(read))

    def open_output_stream(self, path: str, metadata: dict[str, str] | None) -> pa.NativeFile:
        """A file that is written when it is closed."""

        def write(content: bytes) -> None:
            with self._storage.open_output_stream(path, metadata=metadata) as stream:
                stream.write(content)

        return pa.PythonFile(_WrittenAtTheEnd(lambda content: self._ask(lambda: write(content))), mode="w")

    def open_append_stream(self, path: str, metadata: dict[str, str] | None) -> pa.NativeFile:
        """Refuses: object stores cannot append."""
        raise NotImplementedError


class _WrittenAtTheEnd(io.BytesIO):
    """Keeps what is written and hands it over when it is closed.

    Args:
        write: Takes all that was written.
    """

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._write = write

    def close(self) -> None:
        if not self.closed:
            try:
                self._write(self.getvalue())
            finally:
                super().close()


def patient(storage: fs.FileSystem) -> fs.FileSystem:
    """The storage with patience; a local disk as it is, whose refusals are no outages."""
    return storage if isinstance(storage, fs.LocalFileSystem) else fs.PyFileSystem(Patience(storage))


def is_patient(storage: fs.FileSystem) -> bool:
    """Whether the storage asks again by itself."""
    return isinstance(storage, fs.PyFileSystem) and isinstance(storage.handler, Patience)


@contextmanager
def impatient(storage: fs.FileSystem) -> Iterator[None]:
    """Lets a storage with patience raise the first refusal until the block ends."""
    if not is_patient(storage):
        yield
        return
    patience = storage.handler
    waits_s, patience.waits_s = patience.waits_s, ()
    try:
        yield
    finally:
        patience.waits_s = waits_s


def _is_final(error: OSError) -> bool:
    answered = isinstance(error, FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError)
    return answered or any(words in str(error) for words in FOR_GOOD)
