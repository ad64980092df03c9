"""A run folder belongs to one study on one set of data: what can change a result must be what it was."""

import json
from datetime import UTC, datetime
from typing import Any

from study.data.cohort import Cohort
from study.evidence.store import Store
from study.spec.errors import DataError, SpecError, StorageError
from study.spec.extending import changes
from study.spec.study_file import StudySpec

SHOWN = 12


def earlier_row(store: Store) -> dict[str, Any] | None:
    """The study's row as the run has it, None where nothing was run yet."""
    try:
        return store.read_study()
    except StorageError:
        return None


def require_same_study(store: Store, spec: StudySpec, extend: bool) -> list[str]:
    """Compares the settings that can change a result with those of the run.

    Args:
        store: the run.
        spec: the study that wants to go on with it.
        extend: accept what only asks for more of the same.

    Returns:
        The accepted changes, a line each.

    Raises:
        SpecError: other settings; the message lists them.
    """
    row = earlier_row(store)
    found = changes(json.loads(row["identity"]), spec.identity()) if row else []
    refused = [change for change in found if not (extend and change.extends)]
    if not refused:
        return [str(change) for change in found]
    lines = [f"  {change}" for change in refused[:SHOWN]]
    lines += [f"  and {len(refused) - SHOWN} more"] if len(refused) > SHOWN else []
    more = any(change.extends for change in refused)
    raise SpecError(
        f"`{store.where}`: holds the results of another study; these settings differ:\n"
        + "\n".join(lines)
        + "\n"
        "Give the study another name, restore the settings, "
        + (
            "use --extend for more trials, seeds, variants, choices or wider bounds, "
            if more and not extend
            else ""
        )
        + "or --fresh to put the old results aside."
    )


def require_same_data(store: Store, cohort: Cohort) -> None:
    """Compares the files and the split with those of the run; where they lie does not count.

    Raises:
        DataError: other files, or the same patients split otherwise.
    """
    row = earlier_row(store)
    if row is None:
        return
    counts = json.loads(row["split_counts"])
    before, now = (sum(split["samples"] for split in c.values()) for c in (counts, cohort.counts()))
    if row["data_fingerprint"] != cohort.pairs.fingerprint:
        raise DataError(
            f"`data.root`: must hold the files with which `{store.where}` began ({before} samples under `{row['root'] or 'the phantom'}`), "
            f"got other files, times or labels ({now} samples under `{cohort.pairs.root or 'the phantom'}`). "
            "Copy data with their times (cp -a), or use --fresh to put the old results aside."
        )
    if row["split_hash"] != cohort.split_hash:
        raise DataError(
            f"`data.split`: must be the split with which `{store.where}` began, got another one of the same samples. "
            "Restore the split file, or use --fresh to put the old results aside."
        )


def extensions(store: Store, accepted: list[str]) -> str:
    """JSON of every extension of the run so far, these changes as the last one."""
    row = earlier_row(store)
    before: list[dict[str, Any]] = json.loads(row["extensions"]) if row else []
    now = [{"when": datetime.now(UTC).isoformat(timespec="seconds"), "changes": accepted}] if accepted else []
    return json.dumps(before + now)
