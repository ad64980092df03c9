"""Holes: a search space is a study file with holes, and one function fills them.

A hole is a mapping in Optuna's vocabulary where a value could stand:

    margin:  {type: float, low: 0.3, high: 1.5}
    lr:      {type: float, low: 1e-5, high: 1e-3, log: true}
    context: {type: categorical, choices: [none, {name: osim, kernel: {type: int, low: 1, high: 7, step: 2}}]}

A choice may carry holes of its own, its branch; they are sampled only when the choice is taken. The name of a
parameter is the dotted path of its hole, with the choice's label in it: `model.context.osim.kernel`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeGuard

from study.spec.errors import SpecError, suggest

Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = "Scalar | list[Plain] | Mapping[str, Plain]"
"""What a study file can hold at any place, with or without holes."""

MOST_CHECKED = 20  # a grid of fewer values is checked whole before a study starts, a longer one at its ends
HOLE_KEYS = {
    "float": {"low", "high", "step", "log"},
    "int": {"low", "high", "step", "log"},
    "categorical": {"choices"},
}


class Sampler(Protocol):
    """What `fill` needs of a trial: a live Optuna trial, or `optuna.trial.FixedTrial` to restore one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number between `low` and `high`."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: list[Scalar]) -> Scalar:
        """One of the choices."""


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A hole whose mapping was checked.

    Attributes:
        kind: float, int or categorical.
        low: smallest value, inclusive (numbers only).
        high: largest value, inclusive (numbers only).
        step: distance of the values from `low` on, None for a continuum.
        log: whether it is sampled on a logarithmic scale.
        choices: the values of a categorical hole by their labels; a value may hold further holes.
    """

    kind: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    choices: Mapping[Scalar, Plain] | None = None

    @classmethod
    def read(cls, value: Mapping[str, Plain], where: str) -> "Hole":
        """Checks the mapping of a hole.

        Raises:
            SpecError: a key is unknown or missing, bounds are no numbers or reversed, or there is no choice.
        """
        kind = value["type"]
        if not isinstance(kind, str) or kind not in HOLE_KEYS:
            hint = suggest(str(kind), HOLE_KEYS)
            raise SpecError(f"`{where}.type`: must be float, int or categorical, got {kind!r}. {hint}")
        for key in value.keys() - HOLE_KEYS[kind] - {"type"}:
            hint = suggest(key, HOLE_KEYS[kind])
            raise SpecError(f"`{where}.{key}`: unknown key of a {kind} hole. {hint}")
        if kind == "categorical":
            choices = value.get("choices")
            if not isinstance(choices, list) or not choices:
                raise SpecError(
                    f"`{where}.choices`: must be a list with at least one value, got {choices!r}."
                )
            return cls(kind=kind, choices=_by_label(choices, where))
        return cls._read_numbers(kind, value, where)

    @classmethod
    def _read_numbers(cls, kind: str, value: Mapping[str, Plain], where: str) -> "Hole":
        low, high, step = (_number(kind, value, key, where) for key in ("low", "high", "step"))
        log = bool(value.get("log", False))
        if low is None or high is None:
            missing = "low" if low is None else "high"
            raise SpecError(f"`{where}.{missing}`: must be given for a {kind} hole.")
        if low > high:
            raise SpecError(f"`{where}`: `low` must not exceed `high`, got low {low} and high {high}.")
        if log and low <= 0:
            raise SpecError(f"`{where}.low`: must be above 0 on a logarithmic scale, got {low}.")
        if log and step is not None:
            raise SpecError(
                f"`{where}.step`: a logarithmic scale takes no step, got {step}. Leave out one of the two."
            )
        return cls(kind=kind, low=low, high=high, step=step, log=log)

    def describe(self) -> dict[str, Plain]:
        """The hole as plain data for records, choices by their labels."""
        if self.choices is not None:
            return {"type": self.kind, "choices": list(self.choices)}
        return {"type": self.kind, "low": self.low, "high": self.high, "step": self.step, "log": self.log}

    def sample(self, trial: Sampler, name: str) -> Plain:
        """Suggests a value; a categorical hole gives the chosen value, not its label."""
        if self.choices is not None:
            return self.choices[trial.suggest_categorical(name, list(self.choices))]
        if self.kind == "int":
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def label_of(self, value: Plain) -> str:
        """The label of a chosen value, as it stands in the names of the parameters of its branch."""
        assert self.choices is not None
        return str(next(label for label, choice in self.choices.items() if choice is value))


def is_hole(value: object) -> TypeGuard[Mapping[str, Plain]]:
    """Whether a value is a mapping with a `type`; no other mapping of a study file has that key."""
    return isinstance(value, Mapping) and "type" in value


def is_number(value: object, kind: str) -> TypeGuard[int | float]:
    """Whether a value is a number that a hole of this kind (float or int) can take."""
    wanted = int if kind == "int" else (int, float)
    return isinstance(value, wanted) and not isinstance(value, bool)


def fill(template: Mapping[str, Plain], trial: Sampler) -> dict[str, Plain]:
    """The template with every hole filled by the trial.

    This one function chooses the values of a new trial, restores a trial and reproduces it.

    Args:
        template: plain data with holes, itself no hole.
        trial: a live trial, or a `FixedTrial` with the recorded parameters.
    """
    return {key: _filled(value, trial, str(key)) for key, value in template.items()}


def find_holes(template: Plain, where: str = "") -> Iterator[tuple[str, Hole]]:
    """Every hole with its parameter's name, those inside choices after the one that holds them.

    Args:
        template: plain data with holes.
        where: dotted path of the template, the prefix of its parameters' names.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        yield where, hole
        for label, value in (hole.choices or {}).items():
            yield from find_holes(value, f"{where}.{label}")
        return
    for path, part in parts_of(template, where):
        yield from find_holes(part, path)


def parts_of(value: Plain, where: str) -> list[tuple[str, Plain]]:
    """The values directly inside a mapping or list with their dotted paths; nothing is inside a scalar."""
    items: list[tuple[object, Plain]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [(f"{where}.{key}" if where else str(key), part) for key, part in items]


def corners(template: Mapping[str, Plain]) -> Iterator[dict[str, Plain]]:
    """Fillings that together take every choice, every value of a short grid and both ends of every range.

    The number of fillings grows with the sum of the choices, not with their product. The first one takes the
    first choice and the lower end everywhere.
    """
    seen: set[tuple[str, Scalar]] = set()
    queue: list[dict[str, Scalar]] = [{}]
    while queue:
        forced = queue.pop(0)
        trial = Preset(forced)
        yield fill(template, trial)
        for name, (taken, alternatives) in trial.asked.items():
            seen.add((name, taken))
            for value in alternatives:
                if (name, value) not in seen:
                    seen.add((name, value))
                    queue.append({**forced, name: value})


class Preset:
    """A trial that takes the given values and, where none is given, the first choice or the lower end.

    Attributes:
        asked: the parameters it was asked for, each with the value that it took and those that it could take.
    """

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        self._values = values
        self.asked: dict[str, tuple[Scalar, list[Scalar]]] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's; the step decides which values are checked."""
        return float(self._number(name, _values_to_check(low, high, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's."""
        return int(self._number(name, _values_to_check(low, high, None if log else step)))

    def suggest_categorical(self, name: str, choices: list[Scalar]) -> Scalar:
        """As Optuna's; a value that is none of the choices is not taken."""
        taken = self._values.get(name, choices[0])
        if taken not in choices:
            taken = choices[0]
        self.asked[name] = (taken, choices)
        return taken

    def _number(self, name: str, alternatives: list[float]) -> float:
        taken = self._values.get(name, alternatives[0])
        assert isinstance(taken, int | float), f"{name}: {taken!r} is no number"
        self.asked[name] = (taken, [*alternatives])
        return taken


def _filled(value: Plain, trial: Sampler, where: str) -> Plain:
    """A value with its holes filled, `where` being its dotted path."""
    if is_hole(value):
        hole = Hole.read(value, where)
        chosen = hole.sample(trial, where)
        if isinstance(chosen, Mapping | list):
            return _filled(chosen, trial, f"{where}.{hole.label_of(chosen)}")
        return chosen
    if isinstance(value, Mapping):
        return {key: _filled(part, trial, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, trial, f"{where}.{i}") for i, part in enumerate(value)]
    return value


def _number(kind: str, value: Mapping[str, Plain], key: str, where: str) -> float | None:
    """A bound or step of a hole, None where it is not given."""
    got = value.get(key)
    if got is None:
        return None
    if not is_number(got, kind):
        raise SpecError(f"`{where}.{key}`: must be a number of type {kind}, got {got!r}.")
    return got


def _values_to_check(low: float, high: float, step: float | None) -> list[float]:
    """The values that stand for a range in a check: those of a short grid, else both ends."""
    if step is not None and (high - low) / step < MOST_CHECKED:
        return [low + i * step for i in range(int((high - low) / step) + 1)]
    return list(dict.fromkeys((low, high)))


def _by_label(choices: list[Plain], where: str) -> dict[Scalar, Plain]:
    """The choices of a hole by their labels, which must differ."""
    labelled: dict[Scalar, Plain] = {}
    for choice in choices:
        label = _label(choice, choices)
        if label in labelled:
            raise SpecError(f"`{where}.choices`: every choice must stand once, got {label!r} twice.")
        labelled[label] = choice
    return labelled


def _label(choice: Plain, choices: list[Plain]) -> Scalar:
    """The label of a choice.

    A scalar is its own label. A component goes by its name, followed by its fixed settings where another
    choice has the same name. The label of anything else is its JSON.
    """
    if isinstance(choice, list):
        return json.dumps(choice, sort_keys=True)
    if not isinstance(choice, Mapping):
        return choice
    name = choice.get("name")
    if name is None or isinstance(name, Mapping | list):
        return json.dumps(choice, sort_keys=True)
    names = [other.get("name") for other in choices if isinstance(other, Mapping)]
    fixed = {key: part for key, part in choice.items() if key != "name" and not any(find_holes(part))}
    if fixed and (names.count(name) > 1 or name in choices):
        return f"{name}({', '.join(f'{key}={part}' for key, part in fixed.items())})"
    return name
