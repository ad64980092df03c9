"""The folder of a run as paths and files, on a local disk or on any storage that pyarrow knows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from study.data.locations import REFUSALS, locate
from study.data.patient_storage import impatient
from study.spec.errors import StorageError
from study.spec.section import is_uri


class RunFolder:
    """One folder whose files and folders appear at once, where the storage can rename.

    Args:
        where: A local path, or a URI such as `file:///runs/a` or `s3://bucket/runs/a`.
        filesystem: Storage on which `where` is a path; found from `where` when left out.

    Attributes:
        where: The place as it was given.
        filesystem: Storage that holds the folder.
        root: Path of the folder on that storage.
        fence: Name of a file without which nothing is written any more; empty for no such file.

    Raises:
        StorageError: The URI names a storage that pyarrow cannot open.
    """

    def __init__(self, where: str | Path, filesystem: fs.FileSystem | None = None) -> None:
        self.where, self.fence = str(where), ""
        if filesystem is None:
            self.filesystem, self.root = _locate(self.where)
        else:
            self.filesystem, self.root = filesystem, self.where.rstrip("/")

    @property
    def renames(self) -> bool:
        """Whether the storage can rename a file or folder in one step."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, *parts: str) -> str:
        """The path of something in the folder."""
        return "/".join([self.root, *parts])

    def place(self, *parts: str) -> str:
        """The path or URI of something in the folder, as a user would give it."""
        return place_below(self.where, *parts)

    def require_fence(self) -> None:
        """Checks that this process may still write.

        Raises:
            LostRunError: Another driver has taken the run over.
        """
        if self.fence and not self.exists(self.path(self.fence)):
            raise LostRunError(
                f"`{self.where}`: a run has one driver at a time, got another one that has taken it over, "
                "since this one had given no sign of life for too long. Finished trials are kept; leave the "
                "run to the other driver."
            )

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at the path."""
        return bool(self.filesystem.get_file_info(path).type != fs.FileType.NotFound)

    def entries(self, top: str) -> Iterator[tuple[list[str], fs.FileInfo]]:
        """Everything below a subfolder: the parts of its path from there on, and its type and size."""
        path = self.path(top)
        for info in self.filesystem.get_file_info(
            fs.FileSelector(path, recursive=True, allow_not_found=True)
        ):
            yield info.path[len(path) :].strip("/").split("/"), info

    def check_writable(self) -> None:
        """Creates the folder, and writes and deletes a small file in it.

        Raises:
            StorageError: That does not work.
        """
        probe = f".writable-{uuid4().hex[:8]}"
        try:
            with impatient(self.filesystem):
                self.filesystem.create_dir(self.root, recursive=True)
                self.write_bytes(probe, b"")
                self.filesystem.delete_file(self.path(probe))
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"`storage`: must be a place to write to, got `{self.where}` ({error}). {_remedy(self.where)}"
            ) from None

    def read_bytes(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            StorageError: The file is missing or cannot be read.
        """
        try:
            with self.filesystem.open_input_stream(self.path(name), compression=None) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise StorageError(f"`{self.where}/{name}`: must be a readable file ({error}).") from None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes or replaces a small file, such as `study.yaml`."""

        def write(path: str) -> None:
            with self.filesystem.open_output_stream(path) as stream:
                stream.write(content)

        self.write_file(name, write)

    def keep_file(self, name: str, local: Path) -> None:
        """Copies a local file into the folder, or replaces it there."""
        self.write_file(name, lambda path: self._copy(local, path))

    def _copy(self, local: Path, path: str) -> None:
        fs.copy_files(
            str(local),
            path,
            source_filesystem=fs.LocalFileSystem(),
            destination_filesystem=self.filesystem,
        )

    def fetch_file(self, name: str, folder: Path) -> Path:
        """Copies a file into a local folder and gives its path there.

        Raises:
            StorageError: There is no such file.
        """
        path = self.path(name)
        if not self.exists(path):
            raise StorageError(f"`{self.where}/{name}`: must exist, but there is no such file.")
        folder.mkdir(parents=True, exist_ok=True)
        local = folder / name.rpartition("/")[2]
        fs.copy_files(
            path,
            str(local),
            source_filesystem=self.filesystem,
            destination_filesystem=fs.LocalFileSystem(),
        )
        return local

    def move_files(self, target: str, leave: str) -> None:
        """Moves everything in the folder but one subfolder, on a storage that cannot rename.

        Args:
            target: Path on the same storage.
            leave: Name of the subfolder that stays.

        Raises:
            OSError: The storage refuses; until all is copied, nothing is deleted.
        """
        found = [
            info
            for info in self.filesystem.get_file_info(fs.FileSelector(self.root))
            if info.base_name not in ("", leave)
        ]
        self.filesystem.create_dir(target, recursive=True)
        for info in found:
            fs.copy_files(
                info.path,
                f"{target}/{info.base_name}",
                source_filesystem=self.filesystem,
                destination_filesystem=self.filesystem,
            )
        for info in found:
            delete = self.filesystem.delete_file if info.is_file else self.filesystem.delete_dir
            delete(info.path)

    def write_file(self, name: str, write: Callable[[str], None]) -> None:
        """Writes or replaces a file.

        Args:
            name: Name of the file in the folder.
            write: Writes the content to a path on the storage.

        Raises:
            LostRunError: Another driver has taken the run over.
        """
        self.require_fence()
        final = self.path(name)
        self.filesystem.create_dir(final.rsplit("/", 1)[0], recursive=True)
        if not self.renames:
            write(final)
            return
        hidden = f"{final}.{uuid4().hex[:8]}.part"
        write(hidden)
        self.filesystem.move(hidden, final)

    def write_folder(self, final: str, fill: Callable[[str], None]) -> None:
        """Writes a subfolder.

        Nothing is left of an attempt that fails where the storage renames. Elsewhere the files of a failed
        attempt stay, which no reader sees and the next attempt replaces: another process may be writing
        files of the same names, or may have finished them, and must not lose them.

        Args:
            final: Path of the subfolder on the storage.
            fill: Writes the files into the subfolder of the given path.
        """
        parent, name = final.rsplit("/", 1)
        folder = f"{parent}/.{name}.{uuid4().hex[:8]}" if self.renames else final
        self.filesystem.create_dir(folder, recursive=True)
        try:
            fill(folder)
            if self.renames:
                self.filesystem.move(folder, final)
        except BaseException:
            if self.renames or not self.filesystem.get_file_info(fs.FileSelector(folder)):
                self.filesystem.delete_dir(folder)
            raise


class LostRunError(StorageError):
    """Another driver has taken the run over, so this process must write nothing more."""


def place_below(where: str, *parts: str) -> str:
    """A path or URI with further parts, which stand before the query of a URI."""
    path, mark, query = where.partition("?") if is_uri(where) else (where, "", "")
    return "/".join([path.rstrip("/"), *parts]) + mark + query


def _locate(where: str) -> tuple[fs.FileSystem, str]:
    try:
        return locate(where)
    except REFUSALS as error:
        raise StorageError(
            f"`storage`: must be a path or a URI that pyarrow can open, got `{where}` ({error}). "
            f"{_remedy(where)}"
        ) from None


def _remedy(where: str) -> str:
    if not is_uri(where):
        return "Choose another one."
    return "Check its name, its region (`?region=...`) and your credentials, or choose another one."
