"""The records of a run: one folder of Parquet tables for each finished trial.

    <run>/study.parquet
    <run>/{samples,examples}.parquet                        facts of the samples, and pictures of a few
    <run>/trials/<key>/{trial,epochs,predictions,embeddings,scores,neighbours}.parquet
    <run>/trials/<key>/weights.safetensors                  only of the trials that keep their weights
    <run>/backbones/<hash>.safetensors                      a frozen backbone, which many trials share
    <run>/heads/<key>/<head>/{predictions,scores}.parquet   a head that was fitted on the embeddings later
    <run>/packs/<name>/<table>.parquet                      the tables of many trials (see `packs`)

A trial's folder appears at once: a local disk writes it under a hidden name and renames it; any other storage
writes `trial.parquet` last, and a folder without that file does not exist for readers. Every trial has every
table, and a table without rows is an empty file, so a missing file is always damage.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from study.evidence.arrow_tables import Rows, schema_table
from study.evidence.digests import with_digest
from study.evidence.packs import Packs
from study.evidence.run_folder import RunFolder
from study.evidence.schema import STUDY, TABLES
from study.evidence.trial_files import (
    Filters,
    UnusableFileError,
    filtered,
    read_trial_file,
    require_rows_of,
)
from study.spec.errors import StorageError

WEIGHTS = "weights.safetensors"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
HEAD_TABLES = ("predictions", "scores")  # of a head that was added later
_NUM_READERS = (
    8  # with more, a local disk is no faster; with as many, the latency of an object store is hidden
)


class Store(RunFolder):
    """The run folder with its trials.

    Args:
        where: A local path, or a URI such as `file:///runs/a` or `s3://bucket/runs/a`.
        filesystem: Storage on which `where` is a path; found from `where` when left out.

    Attributes:
        problems: One line for each file that was skipped because it is damaged, missing or foreign.
        packs: Trials that were packed together.

    Raises:
        StorageError: The URI names a storage that pyarrow cannot open.
    """

    def __init__(self, where: str | Path, filesystem: fs.FileSystem | None = None) -> None:
        super().__init__(where, filesystem)
        self.problems: list[str] = []
        self.packs = Packs(self, self._note_problem)

    def publish(
        self, key: str, tables: Mapping[str, Rows | pa.Table], files: Mapping[str, Path] | None = None
    ) -> None:
        """Writes a finished trial so that it appears at once or not at all.

        Args:
            key: Key of the trial, which is also the name of its folder.
            tables: Tables by name. `trial` must be there, with one row; every row of every table must have
                the key in the column `trial`.
            files: Local files to keep beside the tables, by their name in the folder.

        Raises:
            StorageError: The key is already there, or writing failed.
            TypeError: A table or column is not as the schema says.
            ValueError: The key cannot be the name of a folder, or rows belong to another trial.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"`key`: must be letters, digits and ._+- and start with a letter or digit, got `{key}`."
            )
        checked = {name: schema_table(name, tables.get(name, ())) for name in {**TABLES, **tables}}
        require_rows_of(key, checked)
        checked["trial"] = with_digest(checked)
        final = self.path("trials", key)
        if self.exists(f"{final}/trial.parquet"):
            raise StorageError(
                f"`{key}`: is already in `{self.where}`; a finished trial is never overwritten."
            )
        try:
            if not self.renames and WEIGHTS not in (files or {}):
                self.delete_weights(key)  # of an attempt that failed
            self._write_tables(final, checked, files or {})
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"`{key}`: could not be written to `{self.where}` ({error}).") from None

    def add_head(self, key: str, head: str, predictions: pa.Table, scores: Rows) -> None:
        """Keeps the results of a head that was fitted later on the embeddings of a finished trial.

        `read_table` gives them after the trial's own rows.

        Args:
            key: Key of the trial.
            head: Name of the head.
            predictions: Rows of PREDICTIONS.
            scores: Rows of SCORES.

        Raises:
            StorageError: Writing failed.
        """
        tables = {
            "predictions": schema_table("predictions", predictions),
            "scores": schema_table("scores", scores),
        }
        final = self.path("heads", key, head)
        try:
            if self.exists(final):
                self.filesystem.delete_dir(final)  # its files are damaged, or nobody would fit the head again
            self._write_tables(final, tables, {})
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"`{key}`: its head {head} could not be written to `{self.where}` ({error})."
            ) from None

    def _write_tables(self, final: str, tables: Mapping[str, pa.Table], files: Mapping[str, Path]) -> None:
        # The last table makes the folder exist for readers: `trial`, or the `scores` of an added head.
        names = sorted(tables, key=lambda name: name == "trial")

        def fill(folder: str) -> None:
            for name, local in files.items():
                self._copy(local, f"{folder}/{name}")
            for name in names:
                if name == names[-1]:
                    self.require_fence()
                if not self.renames and self.exists(f"{final}/{names[-1]}.parquet"):
                    raise FileExistsError("another process has just finished it")
                self._write_parquet(tables[name], f"{folder}/{name}.parquet")

        self.write_folder(final, fill)

    def _write_parquet(self, table: pa.Table, path: str) -> None:
        pq.write_table(table, path, filesystem=self.filesystem, compression="zstd")

    def keys(self) -> list[str]:
        """The keys of all finished trials, sorted; `problems` names anything else among their folders."""
        finished: dict[str, bool] = {}
        for (key, *rest), info in self.entries("trials"):
            if key.startswith("."):
                continue
            if not rest and info.type == fs.FileType.File:
                self._note_problem(f"trials/{key}", "is no trial's folder")
            else:
                finished[key] = finished.get(key, False) or rest == ["trial.parquet"]
        packed = self.packs.homes()  # after the folders: what was deleted before that is in a pack by now
        for key in sorted(finished.keys() - packed.keys()):
            if not finished[key]:
                self._note_problem(f"trials/{key}", "has no trial.parquet (unfinished or damaged)")
        return sorted(packed.keys() | {key for key, there in finished.items() if there})

    def added_heads(self) -> dict[str, list[str]]:
        """The heads that were added to each trial; a head is there when its scores are."""
        found: dict[str, list[str]] = {}
        for (key, *rest), _ in self.entries("heads"):
            if len(rest) == 2 and rest[1] == "scores.parquet" and not rest[0].startswith("."):
                found.setdefault(key, []).append(rest[0])
        return found

    def _files_of(self, table: str, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Key and name of every file with rows of the table, the trial's own before those of added heads.

        The own rows of a packed trial are in no file that has this name.
        """
        added = self.added_heads() if table in HEAD_TABLES else {}
        files = []
        for key in keys:
            folders = [f"trials/{key}", *(f"heads/{key}/{head}" for head in sorted(added.get(key, ())))]
            files += [(key, f"{folder}/{table}.parquet") for folder in folders]
        return files

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
            table: Name of the table in `schema.TABLES`.
            keys: Trials to read; all finished ones when left out.
            columns: Columns to read; all when left out.
            filters: Values that the rows must have, by column.
        """
        schema = TABLES[table]
        wanted = schema.names if columns is None else list(columns)
        filters = filters or {}
        needed = [*wanted, *(column for column in filters if column not in wanted)]

        def read(file: tuple[str, str]) -> pa.Table | None:
            key, name = file
            if name.startswith("trials/") and key in packed:
                return packed[key]
            try:
                rows = read_trial_file(self.filesystem, self.path(name), schema, needed, key)
            except UnusableFileError as problem:
                if name.startswith("trials/") and key in self.packs.homes():  # since a moment ago
                    return self.packs.rows(table, [key], needed, filters)[key]
                self._note_problem(name, str(problem))
                return None
            return filtered(rows, filters)

        chosen = self.keys() if keys is None else keys
        packed = self.packs.rows(table, chosen, needed, filters)
        with ThreadPoolExecutor(_NUM_READERS) as threads:
            parts = [part for part in threads.map(read, self._files_of(table, chosen)) if part is not None]
        empty = pa.schema([schema.field(column) for column in needed]).empty_table()
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

    def _note_problem(self, name: str, what: str) -> None:
        line = f"`{name}`: {what}; skipped."
        if line not in self.problems:
            self.problems.append(line)

    def write_study(self, row: Mapping[str, Any]) -> None:
        """Writes or replaces `study.parquet`, the one row that describes the study.

        Raises:
            TypeError: A column is not as the schema says.
        """
        table = schema_table("study", [row])
        self.write_file("study.parquet", lambda path: self._write_parquet(table, path))

    def read_study(self) -> dict[str, Any]:
        """The row that describes the study.

        Raises:
            StorageError: The file is missing or damaged.
        """
        try:
            rows = pq.read_table(self.path("study.parquet"), filesystem=self.filesystem)
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

    def has_weights(self, key: str) -> bool:
        """Whether the trial still has its weights."""
        return self.exists(self.path("trials", key, WEIGHTS))

    def delete_weights(self, key: str) -> None:
        """Deletes the trial's weights, if it has some.

        Raises:
            LostRunError: Another driver has taken the run over.
        """
        self.require_fence()
        if self.has_weights(key):
            self.filesystem.delete_file(self.path("trials", key, WEIGHTS))
            self.packs.delete_if_empty(key)

    def fetch(self, key: str, name: str, folder: Path) -> Path:
        """As `fetch_file`, for a file of a trial."""
        return self.fetch_file(f"trials/{key}/{name}", folder)
