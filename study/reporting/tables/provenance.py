"""Where the numbers come from: code, data, split, machines and time.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from study.evidence.ledger import seal_of
from study.reporting.results import setting_words
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text

MAX_VALUES = 6
DIGEST_LETTERS = 16
Facts = dict[str, tuple[str, Iterable[object]]]  # title and values of each fact


class Provenance:
    """One row for each fact; the values of a fact that differs between trials are all named."""

    section = "provenance"

    def build(self, run: Run) -> Table | None:
        """The table."""
        rows = [
            Row(key, (Text(title), Text(words)))
            for key, (title, values) in _facts(run).items()
            if (words := _joined(values))
        ]
        return Table(
            name="provenance",
            title="Where the numbers come from",
            columns=(Column("fact", "", words=True), Column("value", "", words=True)),
            rows=tuple(rows),
            synthetic=run.synthetic,
        )


def _facts(run: Run) -> Facts:
    return {
        "study": ("Study", [run.name]),
        "data": ("Data", [" at ".join(filter(None, (run.study["dataset"], run.study["root"])))]),
        "data_fingerprint": ("Data fingerprint", map(_short, run.trials["data_fingerprint"])),
        "split_hash": ("Split", map(_short, run.trials["split_hash"])),
        "pretraining": ("Pretrained weights", run.study["cautions"]),
        "seal": ("Seal of the ledger", [seal_of(run.store)]),
        "profile": ("Profile", [_profile(run)]),
        **_code(list(run.trials["provenance"])),
        "device": ("Device", run.trials["device"]),
        "host": ("Machine", run.trials["host"]),
        "time": ("Time", [_time(run.trials)]),
        "problems": ("Files left out", run.problems),
    }


def _code(records: Sequence[Mapping[str, Any]]) -> Facts:
    """Commit, lock file, versions, command and system of every trial."""
    return {
        "commit": ("Code", map(_commit, records)),
        "lock": ("Lock file", [_short(record.get("lock_sha256") or "") for record in records]),
        "versions": ("Versions", map(_versions, records)),
        "command": ("Command", [record.get("command") or "" for record in records]),
        "platform": ("System", [record.get("platform") or "" for record in records]),
    }


def _commit(record: Mapping[str, Any]) -> str:
    changed = " with uncommitted changes" if record.get("difference") else ""
    return f"{record.get('commit', '')}{changed}"


def _versions(record: Mapping[str, Any]) -> str:
    versions = {"python": record.get("python"), **(record.get("versions") or {})}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _short(digest: str) -> str:
    return digest[:DIGEST_LETTERS]


def _joined(values: Iterable[object]) -> str:
    """The different values, and how many more there are."""
    known = list(dict.fromkeys(str(value) for value in values if value))
    more = f"; and {len(known) - MAX_VALUES} more" if len(known) > MAX_VALUES else ""
    return "; ".join(known[:MAX_VALUES]) + more


def _profile(run: Run) -> str:
    changes: Mapping[str, object] = run.study["profile_changes"]
    listed = ", ".join(f"{key} = {setting_words(value)}" for key, value in changes.items())
    return f"{run.study['profile']}{f': {listed}' if changes else ''}"


def _time(trials: pd.DataFrame) -> str:
    hours = float(trials["seconds_total"].sum()) / 3600
    first, last = f"{trials['started'].min():%Y-%m-%d %H:%M}", f"{trials['ended'].max():%Y-%m-%d %H:%M}"
    return f"{first} to {last} UTC, {hours:.2f} hours of trials"
