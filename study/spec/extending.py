"""What `--extend` accepts: more of the same study, never another one.

It accepts more trials, confirmations, fine-tuned trials, ablations, variants and seeds, wider bounds of a
hole, and added choices. Whatever was possible before is still possible and still means the same, so every
finished trial stays a trial of the study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from study.spec.holes import Hole, Plain, is_hole

ABSENT = "not there"


@dataclass(frozen=True)
class Change:
    """A setting that differs between a run and the study that wants to continue it.

    Attributes:
        key: dotted place.
        before: value in the run.
        now: value wanted.
        extends: whether the new value only adds to the old one.
    """

    key: str
    before: Plain
    now: Plain
    extends: bool

    def __str__(self) -> str:
        return f"{self.key}: was {self.before}, is {self.now}"


def changes(before: Mapping[str, Plain], now: Mapping[str, Plain]) -> list[Change]:
    """Every difference between two identities.

    Args:
        before: flat identity of the run, by dotted key.
        now: flat identity of the study file.
    """
    return list(_compare("", _nested(before), _nested(now)))


def _compare(where: str, before: Plain, now: Plain) -> Iterator[Change]:
    if before == now:
        return
    if is_hole(before) or is_hole(now):
        yield Change(where, _without_type(before), _without_type(now), _widens(before, now, where))
    elif isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            place = f"{where}.{key}" if where else key
            yield from _compare(place, before.get(key, ABSENT), now.get(key, ABSENT))
    else:
        yield Change(where, before, now, _adds(where, before, now))


def _adds(where: str, before: Plain, now: Plain) -> bool:
    """Whether a value outside of the holes only asks for more of the same."""
    parts = where.split(".")
    if where in ("search.trials", "search.finetune.top"):
        return _is_more(before, now)
    if where == "search.finetune":
        return before in (None, ABSENT)
    if parts[0] == "ablations":
        if parts[-1] == "seeds" and before != ABSENT:
            return _holds_all(now, before)
        return before in (ABSENT, {}) and len(parts) in (1, 2, 4)  # the first table, a table, a variant
    if parts[:2] == ["search", "confirm"]:
        if before is None or before == ABSENT:
            return True
        return _is_more(before, now) if parts[-1] == "top" else _holds_all(now, before)
    return False


def _is_more(before: Plain, now: Plain) -> bool:
    return isinstance(before, int) and isinstance(now, int) and now > before


def _holds_all(values: Plain, wanted: Plain) -> bool:
    return isinstance(values, list) and isinstance(wanted, list) and all(value in values for value in wanted)


def _widens(before: Plain, now: Plain, where: str) -> bool:
    """Whether a hole takes every value that it took before, under the same name."""
    if before == now:
        return True
    if not (is_hole(before) and is_hole(now)) or before["type"] != now["type"]:
        return False
    old, new = Hole.read(before, where), Hole.read(now, where)
    if old.choices is None or new.choices is None:
        on_grid = old.step is None or round((old.low - new.low) / old.step, 9) % 1 == 0
        same_kind = (old.log, old.step) == (new.log, new.step)
        return same_kind and on_grid and new.low <= old.low and old.high <= new.high
    return all(
        label in new.choices and _branch_widens(choice, new.choices[label], where)
        for label, choice in old.choices.items()
    )


def _branch_widens(before: Plain, now: Plain, where: str) -> bool:
    if isinstance(before, Mapping) and isinstance(now, Mapping) and not is_hole(before):
        return before.keys() == now.keys() and all(
            _branch_widens(before[key], now[key], f"{where}.{key}") for key in before
        )
    return _widens(before, now, where)


def _without_type(value: Plain) -> Plain:
    """A hole without its type, which the rest of it shows."""
    return {key: part for key, part in value.items() if key != "type"} if is_hole(value) else value


def _nested(flat: Mapping[str, Plain]) -> dict[str, Plain]:
    """Dotted keys as mappings in mappings."""
    nested: dict[str, Plain] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        here = nested
        for part in parents:
            inner = here.setdefault(part, {})
            assert isinstance(inner, dict), f"{key}: leads through a value"
            here = inner
        here[last] = value
    return nested
