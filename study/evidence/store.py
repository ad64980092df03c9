"""The run folder: one folder of Parquet tables for each finished trial, on a local disk or any storage that pyarrow knows.

    <run>/study.parquet
    <run>/trials/<key>/{trial,epochs,predictions,embeddings,scores,neighbours}.parquet (+ weights.safetensors)
    <run>/heads/<key>/<head>/{predictions,scores}.parquet   heads that were fitted on the stored embeddings later

A trial's folder appears at once: locally it is written under a hidden name and renamed; elsewhere `trial.parquet` is
written last, and a folder without it does not exist for readers. Every trial has every table, an empty one where it has
nothing to say, so a missing file is always damage.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from study.evidence.conform import Rows, conform
from study.evidence.schema import STUDY, TABLES
from study.evidence.trial_table import Filters, UnusableFileError, matching, read_trial_table
from study.spec.errors import StorageError

WEIGHTS = "weights.safetensors"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NUM_READERS = (
    8  # beyond this the files of a local disk come no faster, and an object store's latency is well hidden
)


class Store:
    """One run folder.

    Args:
        where: a local path or a URI such as `file:///runs/a` or `s3://bucket/runs/a`.
        filesystem: the storage on which `where` is a path; found from `where` when left out.

    Attributes:
        problems: one line for each file that was skipped because it is damaged, missing or foreign.

    Raises:
        StorageError: the URI names a storage that pyarrow cannot open.
    """

    def __init__(self, where: str | Path, filesystem: fs.FileSystem | None = None) -> None:
        self.where = str(where)
        self.problems: list[str] = []
        self._fs, self._root = (
            (filesystem, self.where.rstrip("/")) if filesystem is not None else _locate(self.where)
        )

    @property
    def filesystem(self) -> fs.FileSystem:
        """The storage that holds the run."""
        return self._fs

    @property
    def root(self) -> str:
        """The run folder's path on that storage."""
        return self._root

    def _path(self, *parts: str) -> str:
        return "/".join([self._root, *parts])

    @property
    def _renames(self) -> bool:
        return isinstance(self._fs, fs.LocalFileSystem)

    def _exists(self, path: str) -> bool:
        return bool(self._fs.get_file_info(path).type != fs.FileType.NotFound)

    def check_writable(self) -> None:
        """Creates the run folder and writes and deletes a small file in it.

        Raises:
            StorageError: that does not work.
        """
        probe = self._path(f".writable-{uuid4().hex[:8]}")
        try:
            self._fs.create_dir(self._root, recursive=True)
            self.write_bytes(Path(probe).name, b"")
            self._fs.delete_file(probe)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"`storage`: must be a place to write to, got `{self.where}` ({error}). Choose another one."
            ) from None

    def publish(
        self, key: str, tables: Mapping[str, Rows | pa.Table], files: Mapping[str, Path] | None = None
    ) -> None:
        """Writes a finished trial so that it appears at once or not at all.

        Args:
            key: the trial's key and folder name.
            tables: by table name; `trial` must be there, with one row; all rows must carry the key in `trial`.
            files: local files to keep beside the tables, by their name in the folder.

        Raises:
            StorageError: the key is already there, or writing failed.
            TypeError: a table or column is not as the schema says.
            ValueError: the key cannot be a folder's name, or rows belong to another trial.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"`key`: must be letters, digits and ._+- and start with a letter or digit, got `{key}`."
            )
        checked = {name: conform(name, tables.get(name, ())) for name in {**TABLES, **tables}}
        if len(checked["trial"]) != 1:
            raise ValueError(f"`trial`: must be one row, got {len(checked['trial'])}.")
        for name, table in checked.items():
            if foreign := set(table["trial"].unique().to_pylist()) - {key}:
                raise ValueError(
                    f"`{name}.trial`: must be `{key}` in every row, got {sorted(map(str, foreign))}."
                )
        final = self._path("trials", key)
        if self._exists(f"{final}/trial.parquet"):
            raise StorageError(
                f"`{key}`: is already in `{self.where}`; a finished trial is never overwritten."
            )
        try:
            self._write_folder(final, checked, files or {})
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"`{key}`: could not be written to `{self.where}` ({error}).") from None

    def _write_folder(self, final: str, tables: dict[str, pa.Table], files: Mapping[str, Path]) -> None:
        parent, key = final.rsplit("/", 1)
        folder = f"{parent}/.{key}.{uuid4().hex[:8]}" if self._renames else final
        self._fs.create_dir(folder, recursive=True)
        try:
            for name, local in files.items():
                fs.copy_files(
                    str(local),
                    f"{folder}/{name}",
                    source_filesystem=fs.LocalFileSystem(),
                    destination_filesystem=self._fs,
                )
            for name in sorted(
                tables, key=lambda name: name == "trial"
            ):  # `trial` last: it makes the folder exist
                pq.write_table(
                    tables[name], f"{folder}/{name}.parquet", filesystem=self._fs, compression="zstd"
                )
            if self._renames:
                self._fs.move(folder, final)
        except BaseException:
            self._fs.delete_dir(folder)
            raise

    def add_head(self, key: str, head: str, predictions: pa.Table, scores: Rows) -> None:
        """Keeps what a head says that was fitted on a finished trial's embeddings later; reading gives it with the trial's own.

        Raises:
            StorageError: writing failed.
        """
        tables = {"predictions": conform("predictions", predictions), "scores": conform("scores", scores)}
        final = self._path("heads", key, head)
        try:
            if self._exists(final):
                self._fs.delete_dir(final)  # damaged, or it would not have been fitted again
            self._write_folder(final, tables, {})
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"`{key}`: its head {head} could not be written to `{self.where}` ({error})."
            ) from None

    def _later_heads(self) -> dict[str, list[str]]:
        """The heads that were added to each trial; one is there when its scores are."""
        top = self._path("heads")
        found: dict[str, list[str]] = {}
        for info in self._fs.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True)):
            key, *rest = info.path[len(top) :].strip("/").split("/")
            if len(rest) == 2 and rest[1] == "scores.parquet" and not rest[0].startswith("."):
                found.setdefault(key, []).append(rest[0])
        return {key: sorted(heads) for key, heads in found.items()}

    def keys(self) -> list[str]:
        """Keys of all finished trials, sorted; anything else in the folder is named in `problems`."""
        trials = self._path("trials")
        found: dict[str, bool] = {}
        for info in self._fs.get_file_info(fs.FileSelector(trials, recursive=True, allow_not_found=True)):
            key, *rest = info.path[len(trials) :].strip("/").split("/")
            if key.startswith("."):
                continue
            if not rest and info.type == fs.FileType.File:
                self._problem(f"trials/{key}", "is no trial's folder")
            else:
                found[key] = found.get(key, False) or rest == ["trial.parquet"]
        for key in sorted(k for k, finished in found.items() if not finished):
            self._problem(f"trials/{key}", "has no trial.parquet (unfinished or damaged)")
        return sorted(k for k, finished in found.items() if finished)

    def read_table(
        self,
        table: str,
        keys: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
    ) -> pa.Table:
        """The rows of one table of many trials, in the order of the keys.

        Damaged, missing and foreign files are skipped and named in `problems`.

        Args:
            table: its name in `schema.TABLES`.
            keys: trials to read; all finished ones when left out.
            columns: to read; all when left out.
            filters: by column, the value or the values that a row must have.
        """
        schema = TABLES[table]
        wanted = schema.names if columns is None else list(columns)
        filters = filters or {}
        read = [*wanted, *(c for c in filters if c not in wanted)]

        def read_one(key: str, folder: str) -> pa.Table | None:
            name = f"{folder}/{table}.parquet"
            try:
                return matching(read_trial_table(self._fs, self._path(name), schema, read, key), filters)
            except UnusableFileError as problem:
                self._problem(name, str(problem))
                return None

        later = self._later_heads() if table in ("predictions", "scores") else {}
        wanted_keys = self.keys() if keys is None else keys
        files = [
            (key, f)
            for key in wanted_keys
            for f in (f"trials/{key}", *(f"heads/{key}/{head}" for head in later.get(key, ())))
        ]
        with ThreadPoolExecutor(_NUM_READERS) as threads:
            parts = (
                [part for part in threads.map(read_one, *zip(*files, strict=True)) if part is not None]
                if files
                else []
            )
        empty = pa.schema([schema.field(c) for c in read]).empty_table()
        return pa.concat_tables([empty, *parts]).select(wanted)

    def read(
        self,
        table: str,
        keys: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
    ) -> pd.DataFrame:
        """`read_table` as a DataFrame; list columns hold one array a row."""
        frame: pd.DataFrame = self.read_table(table, keys, columns, filters).to_pandas()
        return frame

    def _problem(self, name: str, what: str) -> None:
        line = f"`{name}`: {what}; skipped."
        if line not in self.problems:
            self.problems.append(line)

    def write_study(self, row: Mapping[str, Any]) -> None:
        """Writes or replaces `study.parquet`, the one row that describes the study.

        Raises:
            TypeError: a column is not as the schema says.
        """
        table = conform("study", [row])
        self._replace(
            "study.parquet", lambda path: pq.write_table(table, path, filesystem=self._fs, compression="zstd")
        )

    def read_study(self) -> dict[str, Any]:
        """The row that describes the study.

        Raises:
            StorageError: it is missing or damaged.
        """
        path = self._path("study.parquet")
        try:
            rows = pq.read_table(path, filesystem=self._fs)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"`{self.where}`: must be a run's folder with a readable study.parquet ({error})."
            ) from None
        if not rows.schema.equals(STUDY) or len(rows) != 1:
            raise StorageError(
                f"`{self.where}`: its study.parquet must be one row with the columns of the schema."
            )
        row: dict[str, Any] = rows.to_pylist()[0]
        return row

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes or replaces a small file of the run, such as `study.yaml`."""

        def write(path: str) -> None:
            with self._fs.open_output_stream(path) as stream:
                stream.write(content)

        self._replace(name, write)

    def read_bytes(self, name: str) -> bytes:
        """The content of a file of the run.

        Raises:
            StorageError: the file is missing or cannot be read.
        """
        try:
            with self._fs.open_input_stream(self._path(name), compression=None) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise StorageError(f"`{self.where}/{name}`: must be a readable file ({error}).") from None

    def _replace(self, name: str, write: Callable[[str], None]) -> None:
        final = self._path(name)
        self._fs.create_dir(final.rsplit("/", 1)[0], recursive=True)
        if not self._renames:
            write(final)
            return
        hidden = f"{final}.{uuid4().hex[:8]}.part"
        write(hidden)
        self._fs.move(hidden, final)

    def delete_weights(self, key: str) -> None:
        """Deletes the trial's weights, if it has some."""
        path = self._path("trials", key, WEIGHTS)
        if self._exists(path):
            self._fs.delete_file(path)

    def fetch(self, key: str, name: str, folder: Path) -> Path:
        """Copies a file of a trial into a local folder and gives its path there.

        Raises:
            StorageError: the trial has no such file.
        """
        path = self._path("trials", key, name)
        if not self._exists(path):
            raise StorageError(
                f"`{self.where}/trials/{key}/{name}`: must exist, but the trial has no such file."
            )
        folder.mkdir(parents=True, exist_ok=True)
        fs.copy_files(
            path, str(folder / name), source_filesystem=self._fs, destination_filesystem=fs.LocalFileSystem()
        )
        return folder / name


def _locate(where: str) -> tuple[fs.FileSystem, str]:
    if "://" not in where:
        return fs.LocalFileSystem(), str(Path(where).expanduser().absolute())
    try:
        filesystem, root = fs.FileSystem.from_uri(where)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"`storage`: must be a path or a URI that pyarrow can open, got `{where}` ({error})."
        ) from None
    return filesystem, root.rstrip("/")
