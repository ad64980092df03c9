"""What `--extend` accepts: more of the same study, never another one.

More trials, confirmations, ablations and variants, more seeds, wider bounds of a hole, added choices. Whatever was
possible before is still possible and still means the same, so every finished trial stays a trial of the study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from study.spec.holes import Hole, is_hole

GONE = "not there"


@dataclass(frozen=True)
class Change:
    """A setting that differs between a run and the study that wants to go on with it.

    Attributes:
        key: dotted place.
        before: value in the run.
        now: value wanted.
        extends: whether the new value only adds to the old one.
    """

    key: str
    before: Any
    now: Any
    extends: bool

    def __str__(self) -> str:
        return f"{self.key}: was {self.before}, is {self.now}"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Every difference between two identities.

    Args:
        before: flat identity of the run, by dotted key.
        now: flat identity of the study file.
    """
    return list(_compare("", _nested(before), _nested(now)))


def _compare(where: str, before: Any, now: Any) -> Iterator[Change]:
    if before == now:
        return
    if is_hole(before) or is_hole(now):
        yield Change(where, _brief(before), _brief(now), widens(before, now, where))
    elif isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            yield from _compare(f"{where}.{key}" if where else key, before.get(key, GONE), now.get(key, GONE))
    else:
        yield Change(where, before, now, _adds(where, before, now))


def _adds(where: str, before: Any, now: Any) -> bool:
    """Whether a value outside of the holes only asks for more of the same."""
    parts = where.split(".")
    if where == "search.trials":
        return bool(now > before)
    if parts[0] == "ablations":
        if parts[-1] == "seeds" and before != GONE:
            return set(before) <= set(now)
        return before in (GONE, {}) and len(parts) in (1, 2, 4)  # the first table, a table, a variant
    if parts[:2] == ["search", "confirm"]:
        if before is None or before == GONE:
            return True
        return now > before if parts[-1] == "top" else isinstance(now, list) and set(before) <= set(now)
    return False


def widens(before: Any, now: Any, where: str) -> bool:
    """Whether a hole takes every value that it took before, under the same name."""
    if before == now:
        return True
    if not (is_hole(before) and is_hole(now)) or before["type"] != now["type"]:
        return False
    old, new = Hole.read(before, where), Hole.read(now, where)
    if old.choices is None or new.choices is None:
        on_grid = old.step is None or round((old.low - new.low) / old.step, 9) % 1 == 0
        return (
            (old.log, old.step) == (new.log, new.step)
            and on_grid
            and new.low <= old.low
            and old.high <= new.high
        )
    return all(
        label in new.choices and _branch_widens(choice, new.choices[label], where)
        for label, choice in old.choices.items()
    )


def _branch_widens(before: Any, now: Any, where: str) -> bool:
    if isinstance(before, Mapping) and isinstance(now, Mapping) and not is_hole(before):
        return before.keys() == now.keys() and all(
            _branch_widens(before[key], now[key], f"{where}.{key}") for key in before
        )
    return widens(before, now, where)


def _brief(value: Any) -> Any:
    """A hole without its type, which the rest of it shows."""
    return {key: part for key, part in value.items() if key != "type"} if is_hole(value) else value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as mappings in mappings."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        here = nested
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = value
    return nested
