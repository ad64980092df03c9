"""A run folder belongs to one study on one set of data: what can change a result must be what it was."""

import json
from datetime import UTC, datetime

from study.data.cohort import Cohort
from study.evidence.records import Row
from study.evidence.store import Store
from study.spec.errors import DataError, SpecError, StorageError
from study.spec.extending import Change, changes
from study.spec.study_file import StudySpec

SHOWN = 12  # changes in a message


def earlier_row(store: Store) -> Row | None:
    """The row of the study as the run has it; None where nothing was run yet."""
    try:
        return store.read_study()
    except StorageError:
        return None


def require_same_study(store: Store, spec: StudySpec, *, extend: bool) -> list[str]:
    """Compares the settings that can change a result with those of the run.

    Args:
        store: The run.
        spec: The study that wants to go on with it.
        extend: Accept settings that only ask for more of the same.

    Returns:
        The accepted changes, a line each.

    Raises:
        SpecError: Settings differ; the message lists them.
    """
    row = earlier_row(store)
    if row is None:
        return []
    found = changes(json.loads(str(row["identity"])), spec.identity())
    refused = [change for change in found if not (extend and change.extends)]
    if refused:
        could_extend = not extend and any(change.extends for change in refused)
        raise SpecError(_other_study(store, refused, could_extend=could_extend))
    return [str(change) for change in found]


def _other_study(store: Store, refused: list[Change], *, could_extend: bool) -> str:
    """The message for changes that are refused."""
    lines = [f"  {change}" for change in refused[:SHOWN]]
    if len(refused) > SHOWN:
        lines.append(f"  and {len(refused) - SHOWN} more")
    ways = ["Give the study another name", "restore the settings"]
    if could_extend:
        ways.append("use --extend for more trials, seeds, variants, choices or wider bounds")
    remedy = f"{', '.join(ways)}, or --fresh to put the old results aside."
    head = f"`{store.where}`: holds the results of another study; these settings differ:"
    return "\n".join([head, *lines, remedy])


def require_same_data(store: Store, cohort: Cohort) -> None:
    """Compares the files and the split with those of the run; the data may have moved.

    Raises:
        DataError: There are other files, or the same patients are split in another way.
    """
    row = earlier_row(store)
    if row is None:
        return
    if row["data_fingerprint"] != cohort.pairs.fingerprint:
        before = sum(split["samples"] for split in json.loads(str(row["split_counts"])).values())
        now = sum(split["samples"] for split in cohort.counts().values())
        raise DataError(
            f"`data.root`: must hold the files with which `{store.where}` began "
            f"({before} samples under `{row['root'] or 'the phantom'}`), got other files, times or labels "
            f"({now} samples under `{cohort.pairs.root or 'the phantom'}`). "
            "Copy data with their times (cp -a), or use --fresh to put the old results aside."
        )
    if row["split_hash"] != cohort.split_hash:
        raise DataError(
            f"`data.split`: must be the split with which `{store.where}` began, "
            "got another one of the same samples. "
            "Restore the split file, or use --fresh to put the old results aside."
        )


def extensions(store: Store, accepted: list[str]) -> str:
    """JSON of every extension of the run so far, with these changes as the last one."""
    row = earlier_row(store)
    extended: list[Row] = json.loads(str(row["extensions"])) if row else []
    if accepted:
        extended.append({"when": datetime.now(UTC).isoformat(timespec="seconds"), "changes": accepted})
    return json.dumps(extended)
