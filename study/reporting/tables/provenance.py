"""Where the numbers come from: code, data, split, machines and time.

Source: the project's own.
Differs: nothing.
"""

from collections.abc import Iterable

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
        facts = {
            "study": ("Study", [f"{run.name}, identity {_short(run.study['identity'])}"]),
            "location": ("Location of the run", [run.store.where]),
            "data": ("Data", [" at ".join(filter(None, (run.study["dataset"], run.study["root"])))]),
            "data_fingerprint": ("Data fingerprint", map(_short, run.trials["data_fingerprint"])),
            "split_hash": ("Split", map(_short, run.trials["split_hash"])),
            "profile": ("Profile", [_profile(run)]),
            **_code(run.trials["provenance"]),
            "device": ("Device", run.trials["device"]),
            "host": ("Machine", run.trials["host"]),
            "time": ("Time", [_time(run.trials)]),
            "problems": ("Files left out", run.problems),
        }
        rows = tuple(Row(key, (Text(title), Text(_joined(values)))) for key, (title, values) in facts.items() if _joined(values))
        columns = (Column("fact", "", words=True), Column("value", "", words=True))
        return Table("provenance", "Where the numbers come from", columns, rows, synthetic=run.synthetic)


def _code(records: Iterable[dict[str, object]]) -> dict[str, tuple[str, list[str]]]:
    """Commit, lock, versions and command of every trial's record."""
    records = list(records)
    versions: list[dict[str, str]] = [r.get("versions") or {} for r in records]  # type: ignore[misc]
    return {
        "commit": ("Code", [f"{r.get('commit', '')}{' with uncommitted changes' if r.get('difference') else ''}" for r in records]),
        "lock": ("Lock file", [_short(str(r.get("lock") or "")) for r in records]),
        "versions": ("Versions", [", ".join(f"{k} {v}" for k, v in sorted(vs.items())) for vs in versions]),
        "command": ("Command", [str(r.get("command") or "") for r in records]),
    }


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
