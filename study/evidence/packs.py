"""Many finished trials in one folder of six larger Parquet files.

    <run>/packs/<name>/{trial,epochs,predictions,embeddings,scores,neighbours}.parquet

A pack holds the tables of its trials with the rows of one trial after those of another. It appears before the
folders of its trials are deleted, and a reader that sees both takes the pack, so a kill at any moment loses
and doubles nothing. A pack never changes.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from study.evidence.run_folder import RunFolder
from study.evidence.schema import TABLES
from study.evidence.trial_files import Filters, UnusableFileError, filtered, read_trial_file

FOLDER = "packs"
_GROUP_BYTES = 2**24  # of a row group, so that a reader of few trials reads little more than them
_KEYS: dict[str, tuple[str, ...]] = {}  # trials of each pack that this process has seen, by its path


class Packs:
    """The packs of a run.

    Args:
        folder: Folder of the run.
        problem: Takes the name of a file that cannot be used, and why.
    """

    def __init__(self, folder: RunFolder, problem: Callable[[str, str], None]) -> None:
        self._folder, self._problem = folder, problem

    def homes(self) -> dict[str, str]:
        """The name of the pack that holds each packed trial; of two packs with one trial the first counts."""
        found: dict[str, str] = {}
        for name in self._whole():
            for key in self._keys_of(name):
                found.setdefault(key, name)
        return found

    def _whole(self) -> list[str]:
        """The packs that are written to their end: `trial.parquet` is the last file of each."""
        entries = [parts for parts, _ in self._folder.entries(FOLDER)]
        return sorted(
            parts[0] for parts in entries if parts[1:] == ["trial.parquet"] and not parts[0].startswith(".")
        )

    def _keys_of(self, name: str) -> tuple[str, ...]:
        path = self._folder.path(FOLDER, name, "trial.parquet")
        if path not in _KEYS:
            try:
                with pq.ParquetFile(self._folder.filesystem.open_input_file(path)) as file:
                    column = file.read(columns=["trial"], use_threads=False)["trial"]
            except (OSError, pa.ArrowException) as error:
                self._problem(f"{FOLDER}/{name}/trial.parquet", f"cannot be read ({error})")
                return ()
            _KEYS[path] = tuple(column.to_pylist())
        return _KEYS[path]

    def place(self, key: str, table: str) -> str:
        """The name of the file with a trial's own rows of a table."""
        home = self.homes().get(key)
        return f"trials/{key}/{table}.parquet" if home is None else f"{FOLDER}/{home}/{table}.parquet"

    def rows(
        self, table: str, keys: Sequence[str], columns: list[str], filters: Filters
    ) -> dict[str, pa.Table | None]:
        """The rows of the packed ones of some trials, by trial; None for a trial without rows.

        Args:
            table: Name of the table in `schema.TABLES`.
            keys: The trials.
            columns: Columns to read.
            filters: Values that the rows must have, by column.
        """
        homes = self.homes()
        in_pack: dict[str, list[str]] = {}
        for key in keys:
            if key in homes:
                in_pack.setdefault(homes[key], []).append(key)
        found: dict[str, pa.Table | None] = {key: None for key in keys if key in homes}
        for name, members in in_pack.items():
            found |= self._read(name, table, columns, members, filters)
        return found

    def _read(
        self, name: str, table: str, columns: list[str], keys: Collection[str], filters: Filters
    ) -> dict[str, pa.Table]:
        """The rows of some trials of a pack, by trial; a trial without rows is not there."""
        path = self._folder.path(FOLDER, name, f"{table}.parquet")
        try:
            with pq.ParquetFile(self._folder.filesystem.open_input_file(path)) as file:
                if not file.schema_arrow.equals(TABLES[table]):
                    raise UnusableFileError("has other columns than the schema")
                groups = _groups_with(file.metadata, TABLES[table].get_field_index("trial"), keys)
                with_trial = list(dict.fromkeys(["trial", *columns]))
                read = file.read_row_groups(groups, columns=with_trial, use_threads=False)
        except (OSError, pa.ArrowException, UnusableFileError) as error:
            self._problem(f"{FOLDER}/{name}/{table}.parquet", f"cannot be read ({error})")
            return {}
        rows = filtered(read, {"trial": set(keys)})
        return {key: part.select(columns) for key, part in _by_trial(filtered(rows, filters))}

    def write(self, keys: Sequence[str]) -> str | None:
        """Packs finished trials, and deletes their folders but for their weights.

        A trial with a damaged file stays as it is.

        Args:
            keys: Trials that have a folder and are in no pack.

        Returns:
            Name of the pack; None where no trial can be packed.

        Raises:
            OSError: The storage refuses.
        """
        whole = sorted(keys)
        name = f"{whole[0]}-{uuid4().hex[:8]}" if whole else ""
        while whole:
            try:
                self._folder.write_folder(self._folder.path(FOLDER, name), self._filler(whole))
            except _DamagedTrialError as damaged:
                whole.remove(damaged.key)
            else:
                self.delete_folders(whole)
                return name
        return None

    def _filler(self, keys: Sequence[str]) -> Callable[[str], None]:
        def fill(folder: str) -> None:
            for table in sorted(TABLES, key=lambda table: table == "trial"):  # `trial` makes the pack exist
                stream = self._folder.filesystem.open_output_stream(f"{folder}/{table}.parquet")
                with stream, pq.ParquetWriter(stream, TABLES[table], compression="zstd") as writer:
                    for group in _grouped(self._tables(table, keys)):
                        self._folder.require_fence()
                        writer.write_table(group, row_group_size=max(1, len(group)))

        return fill

    def _tables(self, table: str, keys: Sequence[str]) -> Iterator[pa.Table]:
        """The table of each trial, from its folder."""
        schema = TABLES[table]
        for key in keys:
            path = self._folder.path("trials", key, f"{table}.parquet")
            try:
                yield read_trial_file(self._folder.filesystem, path, schema, schema.names, key)
            except UnusableFileError as problem:
                raise _DamagedTrialError(key, str(problem)) from None

    def tidy(self) -> None:
        """Deletes what a kill has left: the folders of packed trials, and packs that were not finished."""
        whole = set(self._whole())
        for name in {parts[0] for parts, _ in self._folder.entries(FOLDER)} - whole:
            self._folder.filesystem.delete_dir(self._folder.path(FOLDER, name))
        packed = self.homes()
        folders = {parts[0] for parts, _ in self._folder.entries("trials")}
        self.delete_folders(sorted(folders & packed.keys()))

    def delete_folders(self, keys: Sequence[str]) -> None:
        """Deletes the folders of packed trials; of a trial with weights, all but the weights."""
        for key in keys:
            path = self._folder.path("trials", key)
            files = self._folder.filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
            tables = [info.path for info in files if info.base_name.endswith(".parquet")]
            if len(tables) == len(files):
                self._folder.filesystem.delete_dir(path)
                continue
            for table in tables:
                self._folder.filesystem.delete_file(table)

    def delete_if_empty(self, key: str) -> None:
        """Deletes the folder of a packed trial that has lost its weights, too."""
        path = self._folder.path("trials", key)
        files = self._folder.filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        if not files and self._folder.exists(path):
            self._folder.filesystem.delete_dir(path)


class _DamagedTrialError(Exception):
    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables in their order, several small ones in one."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.nbytes for part in waiting) >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _groups_with(metadata: pq.FileMetaData, column: int, keys: Collection[str]) -> list[int]:
    """The row groups that may hold rows of the trials, by the statistics of the column with their keys."""
    found = []
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max or any(known.min <= key <= known.max for key in keys):
            found.append(group)
    return found


def _by_trial(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each trial, which stand one after the other."""
    runs = pc.call_function("run_end_encode", [table["trial"].combine_chunks()])
    start = 0
    for key, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield key, table.slice(start, end - start)
        start = end
