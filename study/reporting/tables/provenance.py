"""Where the numbers come from: code, data, split, machines and time.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from study.reporting.results import setting
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text

SHOWN = 6


class Provenance:
    """One row a fact; facts that differ between trials are all named."""

    section = "provenance"

    def build(self, run: Run) -> Table | None:
        """The table."""
        facts: dict[str, tuple[str, Iterable[object]]] = {
            "study": ("Study", [run.name]),
            "location": ("Location of the run", [_place(run.store.where)]),
            "data": ("Data", [" at ".join(filter(None, (run.study["dataset"], run.study["root"])))]),
            "data_fingerprint": ("Data fingerprint", [_short(f) for f in run.trials["data_fingerprint"]]),
            "split_hash": ("Split", [_short(h) for h in run.trials["split_hash"]]),
            "pretraining": ("Pretrained weights", run.study["cautions"]),
            "profile": ("Profile", [_profile(run)]),
            **_code(list(run.trials["provenance"])),
            "device": ("Device", run.trials["device"]),
            "host": ("Machine", run.trials["host"]),
            "time": ("Time", [_time(run.trials)]),
            "problems": ("Files left out", run.problems),
        }
        rows = tuple(
            Row(key, (Text(title), Text(_joined(values))))
            for key, (title, values) in facts.items()
            if _joined(values)
        )
        columns = (Column("fact", "", words=True), Column("value", "", words=True))
        return Table("provenance", "Where the numbers come from", columns, rows, synthetic=run.synthetic)


def _code(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, Iterable[object]]]:
    """Commit, lock, versions, command and system of every trial's record."""
    return {
        "commit": (
            "Code",
            [
                f"{r.get('commit', '')}{' with uncommitted changes' if r.get('difference') else ''}"
                for r in records
            ],
        ),
        "lock": ("Lock file", [_short(r.get("lock_sha256") or "") for r in records]),
        "versions": ("Versions", [_versions(r) for r in records]),
        "command": ("Command", [r.get("command") or "" for r in records]),
        "platform": ("System", [r.get("platform") or "" for r in records]),
    }


def _versions(record: Mapping[str, Any]) -> str:
    versions = {"python": record.get("python"), **(record.get("versions") or {})}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _place(where: str) -> str:
    """A folder by its last part, however the report was called; a storage's URI as it is."""
    return (
        where
        if "://" in where and not where.startswith("file:")
        else f"…/{where.rstrip('/').rsplit('/', 1)[-1]}"
    )


def _short(digest: str) -> str:
    return digest[:16]


def _joined(values: Iterable[object]) -> str:
    known = list(dict.fromkeys(str(v) for v in values if v))
    return "; ".join(known[:SHOWN]) + (f"; and {len(known) - SHOWN} more" if len(known) > SHOWN else "")


def _profile(run: Run) -> str:
    changes = ", ".join(f"{key} = {setting(value)}" for key, value in run.study["profile_changes"].items())
    return f"{run.study['profile']}{f': {changes}' if changes else ''}"


def _time(trials: pd.DataFrame) -> str:
    hours = float(trials["seconds_total"].sum()) / 3600
    return f"{trials['started'].min():%Y-%m-%d %H:%M} to {trials['ended'].max():%Y-%m-%d %H:%M} UTC, {hours:.2f} hours of trials"
