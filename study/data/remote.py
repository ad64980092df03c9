"""A data set on an object store, which each node copies once to its own disk."""

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from study.data.build_once import locked, unwritable
from study.data.images import SUFFIXES
from study.data.locations import REFUSALS, locate
from study.spec.errors import CacheError, OtherDataError

WANTED = SUFFIXES | {".csv", ".parquet", ".tsv", ".txt", ".xls", ".xlsx"}  # images, and sheets beside them
COPIES = "data"  # folder of the copies, below that of all caches
WHOLE = ".whole"  # file in a copy that is complete
AT_A_TIME = 16  # an object store answers many requests in the time of one


@dataclass(frozen=True)
class _File:
    """A file of the data set: its path there and below it, its size in bytes, and its time of change."""

    there: str
    name: str
    size: int
    changed_ns: int


def local_copy(uri: str, cache: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """The folder, or the sheet, as it is on this machine; copied there before where it is not yet.

    Of a folder its images and sheets are copied, with their times; of a sheet the folder that it lies in. A
    copy that was interrupted goes on. The copy belongs to the names, sizes and times that the storage lists,
    so that a data set that changed is copied anew, and that all nodes have the same.

    Args:
        uri: The place, such as `s3://bucket/odir5k`.
        cache: Folder of all caches.
        progress: Called with files done and their total.

    Raises:
        OtherDataError: There is nothing at the place, or it cannot be read.
        CacheError: The files do not fit on the disk, or the cache cannot be written.
    """
    try:
        filesystem, root = locate(uri)
        info = filesystem.get_file_info(root)
        is_sheet = info.type == fs.FileType.File
        files = _list(filesystem, root.rpartition("/")[0] if is_sheet else root)
    except REFUSALS as error:
        raise _unreadable(uri, error) from None
    if info.type == fs.FileType.NotFound or not files:
        raise OtherDataError(
            f"`data.root`: must be a folder of images or a sheet, got nothing at `{uri}`. "
            "Correct it, or leave it out for synthetic data."
        )
    listing = "\n".join([uri, *(f"{file.name} {file.size} {file.changed_ns}" for file in files)])
    home = cache / COPIES / hashlib.sha256(listing.encode()).hexdigest()[:20]
    if not (home / WHOLE).is_file():
        with locked(home):
            if not (home / WHOLE).is_file():
                _copy(filesystem, files, home, uri, progress)
    return home / info.base_name if is_sheet else home


def _list(filesystem: fs.FileSystem, folder: str) -> list[_File]:
    """The images and sheets below a folder, by name."""
    found = filesystem.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return sorted(
        (
            _File(info.path, info.path[len(folder) :].lstrip("/"), info.size, info.mtime_ns or 0)
            for info in found
            if info.type == fs.FileType.File and Path(info.base_name).suffix.lower() in WANTED
        ),
        key=lambda file: file.name,
    )


def _copy(
    filesystem: fs.FileSystem,
    files: list[_File],
    home: Path,
    uri: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Copies what is not there yet, and marks the copy as whole."""
    left = [file for file in files if not _is_there(file, home)]
    try:
        home.mkdir(parents=True, exist_ok=True)
        _require_room(sum(file.size for file in left), home, uri)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            copies = [pool.submit(_copy_file, filesystem, file, home, uri) for file in left]
            try:
                for number, copy in enumerate(as_completed(copies), len(files) - len(left) + 1):
                    copy.result()
                    if progress is not None:
                        progress(number, len(files))
            finally:
                pool.shutdown(cancel_futures=True)
        (home / WHOLE).touch()
    except OSError as error:
        raise unwritable(home, error) from None


def _copy_file(filesystem: fs.FileSystem, file: _File, home: Path, uri: str) -> None:
    """Copies a file under another name, and renames it with its time of change."""
    content = _read(filesystem, file, uri)
    target = home / file.name
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    os.utime(part, ns=(file.changed_ns, file.changed_ns))
    part.rename(target)


def _read(filesystem: fs.FileSystem, file: _File, uri: str) -> bytes:
    try:
        with filesystem.open_input_stream(file.there, compression=None) as stream:
            content = bytes(stream.read())
    except REFUSALS as error:
        raise _unreadable(uri, error) from None
    if len(content) != file.size:
        raise _unreadable(uri, ValueError(f"{file.name} changed while it was copied"))
    return content


def _is_there(file: _File, home: Path) -> bool:
    target = home / file.name
    return target.is_file() and target.stat().st_size == file.size


def _require_room(size: int, home: Path, uri: str) -> None:
    free = _free_bytes(home)
    if size > free:
        raise CacheError(
            f"`{home}`: must have room for {size / 1e9:.2f} GB of `{uri}`, got {free / 1e9:.2f} GB. "
            "Free some room or choose another folder with STUDY_CACHE."
        )


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _unreadable(uri: str, error: Exception) -> OtherDataError:
    return OtherDataError(
        f"`data.root`: must be a place that this machine can read, got `{uri}` ({error}). "
        "Check the name, the region and the credentials."
    )
