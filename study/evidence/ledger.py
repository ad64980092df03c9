"""The ledger of a run: a digest of each record, so that a change, a loss and an addition are seen later.

A trial is published with the digest of its tables in its row. The driver enters it in `ledger.parquet` when
it ends, or, where it was killed before that, at the next start. A line of the ledger never changes and never
goes, so a trial that was deleted is missed. Trials move into packs and lose their weights without a change of
their digest.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa

from study.evidence.digests import digest_of
from study.evidence.run_tables import read_run_table, table_of_run, write_run_table
from study.evidence.schema import LEDGER, OF_RUN, TABLES
from study.evidence.store import HEAD_TABLES, Store
from study.evidence.trial_files import UnusableFileError, read_trial_file
from study.spec.errors import StorageError

_TRIALS_AT_ONCE = 16  # are read together: a pack is read fewer times, and memory stays bounded
SAMPLES = "samples"


@dataclass(frozen=True)
class Broken:
    """A record that is not as the ledger says.

    Attributes:
        record: Name of the record, such as `trials/search-00003`.
        was: What the ledger or the record itself says of it.
        found: What is there.
    """

    record: str
    was: str
    found: str


def enter_records(store: Store) -> None:
    """Enters the records of a run that are not in its ledger yet.

    Raises:
        StorageError: The ledger cannot be written.
    """
    lines = ledger_of(store)
    found = _trial_digests(store) | _other_digests(store, known=lines)
    if found.keys() <= lines.keys():
        return
    synthetic = bool(store.read_study()["synthetic"])
    rows = [
        {"record": name, "digest": digest, "synthetic": synthetic}
        for name, digest in sorted({**found, **lines}.items())
    ]
    write_run_table(store, "ledger", rows)


def ledger_of(store: Store) -> dict[str, str]:
    """The digest of each record by its name, as the ledger has them.

    Raises:
        StorageError: There is a ledger, but it cannot be read; a new one would hide what is missing.
    """
    try:
        table = read_run_table(store, "ledger", LEDGER)
    except UnusableFileError as problem:
        raise _unreadable(store, str(problem)) from None
    if table is None and store.exists(store.path("ledger.parquet")):
        raise _unreadable(store, "the storage does not answer")
    rows = [] if table is None else table.to_pylist()
    return {row["record"]: row["digest"] for row in rows}


def _unreadable(store: Store, why: str) -> StorageError:
    return StorageError(
        f"`{store.where}/ledger.parquet`: must be readable, got: {why}. Restore it from a copy, or delete it "
        "to vouch for the records as they are now."
    )


def seal_of(store: Store) -> str:
    """One digest of the whole ledger, to be published with a result; empty for a run without a ledger."""
    table = table_of_run(store, "ledger")
    lines = zip(table["record"], table["digest"], strict=True)
    text = "".join(f"{name} {digest}\n" for name, digest in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def broken_records(store: Store) -> Iterator[Broken]:
    """Every record that is not as the ledger and its own digest say."""
    lines = ledger_of(store)
    own = _trial_digests(store)
    found = _contents(store) | _other_digests(store, known=())
    for name, digest in found.items():
        if name in own and own[name] != digest:
            yield Broken(name, f"digest {own[name][:16]} of its own", f"{digest[:16]} by its tables")
        if name not in lines:
            yield Broken(name, "not in the ledger", "a record; the next start of the study enters it")
        elif lines[name] != digest:
            yield Broken(name, f"digest {lines[name][:16]} in the ledger", f"{digest[:16]} by its tables")
    for name in sorted(lines.keys() - found.keys()):
        yield Broken(name, f"digest {lines[name][:16]} in the ledger", "no such record")


def _trial_digests(store: Store) -> dict[str, str]:
    """The digest that each trial's row holds."""
    rows = store.read_table("trial", columns=["trial", "digest"]).to_pylist()
    return {f"trials/{row['trial']}": row["digest"] or "" for row in rows}


def _other_digests(store: Store, known: Collection[str]) -> dict[str, str]:
    """The digests of the samples and of added heads, but for the known ones."""
    found = {}
    if SAMPLES not in known and (samples := _samples(store)) is not None:
        found[SAMPLES] = digest_of({SAMPLES: samples})
    for key, heads in store.added_heads().items():
        for head in heads:
            if (name := f"heads/{key}/{head}") not in known:
                found[name] = digest_of({table: _own(store, name, table, key) for table in HEAD_TABLES})
    return found


def _samples(store: Store) -> pa.Table | None:
    """The facts of the samples; None where they are missing or damaged."""
    try:
        return read_run_table(store, SAMPLES, OF_RUN[SAMPLES])
    except UnusableFileError:
        return None


def _contents(store: Store) -> dict[str, str]:
    """The digest of each trial by the tables that are there."""
    found = {}
    finished = store.keys()
    for start in range(0, len(finished), _TRIALS_AT_ONCE):
        keys = finished[start : start + _TRIALS_AT_ONCE]
        packed = {table: store.packs.rows(table, keys, TABLES[table].names, {}) for table in TABLES}
        for key in keys:
            tables = {
                table: packed[table][key]
                if key in packed[table]
                else _own(store, f"trials/{key}", table, key)
                for table in TABLES
            }
            none = {table: TABLES[table].empty_table() for table, rows in tables.items() if rows is None}
            found[f"trials/{key}"] = digest_of({**tables, **none})
    return found


def _own(store: Store, folder: str, table: str, key: str) -> pa.Table:
    """A table in a folder of its own; empty where it cannot be read, which changes the digest."""
    schema = TABLES[table]
    try:
        return read_trial_file(
            store.filesystem, store.path(folder, f"{table}.parquet"), schema, schema.names, key
        )
    except UnusableFileError:
        return schema.empty_table()
