"""Holes: a search space is a study file with holes, and one function fills them.

A hole is a mapping in Optuna's vocabulary where a value could stand:

    margin:  {type: float, low: 0.3, high: 1.5}
    lr:      {type: float, low: 1e-5, high: 1e-3, log: true}
    context: {type: categorical, choices: [none, {name: osim, kernel: {type: int, low: 1, high: 7, step: 2}}]}

A choice may carry the holes of its own branch; they are sampled only when the choice is taken. The parameter's name
is the dotted path of the hole, with the choice's label in it: `model.context.osim.kernel`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from study.spec.errors import SpecError, suggest

Scalar = str | int | float | bool | None
SHORT = 20  # values of a grid that are all checked before a study starts
KEYS = {
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


@dataclass(frozen=True)
class Hole:
    """One hole, checked.

    Attributes:
        kind: float, int or categorical.
        low: smallest value, inclusive (numbers only).
        high: largest value, inclusive (numbers only).
        step: grid of the values from `low` on, None for a continuum.
        log: sample on a logarithmic scale.
        choices: the values of a categorical hole by their label; a value may hold further holes.
    """

    kind: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    choices: Mapping[Scalar, Any] | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any], where: str) -> "Hole":
        """Checks the mapping of a hole.

        Raises:
            SpecError: a key is unknown or missing, bounds are no numbers or reversed, or there is no choice.
        """
        kind = value["type"]
        if kind not in KEYS:
            raise SpecError(
                f"`{where}.type`: must be float, int or categorical, got {kind!r}. {suggest(str(kind), KEYS)}"
            )
        for key in value.keys() - KEYS[kind] - {"type"}:
            raise SpecError(f"`{where}.{key}`: unknown key of a {kind} hole. {suggest(key, KEYS[kind])}")
        if kind == "categorical":
            choices = value.get("choices")
            if not isinstance(choices, list) or not choices:
                raise SpecError(
                    f"`{where}.choices`: must be a list with at least one value, got {choices!r}."
                )
            return cls(kind, choices=_labelled(choices, where))
        return cls._read_number(kind, value, where)

    @classmethod
    def _read_number(cls, kind: str, value: Mapping[str, Any], where: str) -> "Hole":
        wanted: tuple[type, ...] = (int,) if kind == "int" else (int, float)
        for key in ("low", "high", "step"):
            got = value.get(key)
            if key != "step" and got is None:
                raise SpecError(f"`{where}.{key}`: must be given for a {kind} hole.")
            if got is not None and (isinstance(got, bool) or not isinstance(got, wanted)):
                raise SpecError(f"`{where}.{key}`: must be a number of type {kind}, got {got!r}.")
        low, high, step, log = value["low"], value["high"], value.get("step"), value.get("log", False)
        if low > high:
            raise SpecError(f"`{where}`: `low` must not exceed `high`, got low {low} and high {high}.")
        if log and low <= 0:
            raise SpecError(f"`{where}.low`: must be above 0 on a logarithmic scale, got {low}.")
        if log and step is not None:
            raise SpecError(
                f"`{where}.step`: a logarithmic scale takes no step, got {step}. Leave out one of the two."
            )
        return cls(kind, low, high, step, log)

    def describe(self) -> dict[str, Any]:
        """The hole as plain data for records, choices by their labels."""
        if self.choices is not None:
            return {"type": self.kind, "choices": list(self.choices)}
        return {"type": self.kind, "low": self.low, "high": self.high, "step": self.step, "log": self.log}

    def sample(self, trial: Sampler, name: str) -> Any:
        """Suggests a value; a categorical hole gives the chosen value, not its label."""
        if self.choices is not None:
            return self.choices[trial.suggest_categorical(name, list(self.choices))]
        if self.kind == "int":
            return trial.suggest_int(
                name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def branch(self, value: Any) -> str:
        """The label of a chosen value that has a branch of its own, as it stands in the names below it."""
        assert self.choices is not None
        return str(next(label for label, choice in self.choices.items() if choice is value))


def is_hole(value: object) -> bool:
    """A mapping with a `type`; no other mapping of a study file has that key."""
    return isinstance(value, Mapping) and "type" in value


def fill(template: Any, trial: Sampler, where: str = "") -> Any:
    """The template with every hole filled by the trial: the one function that chooses, restores and reproduces.

    Args:
        template: plain data (mappings, lists, scalars) with holes.
        trial: a live trial, or a `FixedTrial` with the recorded parameters.
        where: dotted path of the template, the prefix of its parameters' names.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        value = hole.sample(trial, where)
        return (
            fill(value, trial, f"{where}.{hole.branch(value)}")
            if isinstance(value, Mapping | list)
            else value
        )
    if isinstance(template, Mapping):
        return {
            key: fill(value, trial, f"{where}.{key}" if where else str(key))
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [fill(value, trial, f"{where}.{i}") for i, value in enumerate(template)]
    return template


def find_holes(template: Any, where: str = "") -> Iterator[tuple[str, Hole]]:
    """Every hole with its parameter's name, those inside choices after the one that holds them."""
    if is_hole(template):
        hole = Hole.read(template, where)
        yield where, hole
        for label, value in (hole.choices or {}).items():
            yield from find_holes(value, f"{where}.{label}")
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from find_holes(value, f"{where}.{key}" if where else str(key))
    elif isinstance(template, list):
        for i, value in enumerate(template):
            yield from find_holes(value, f"{where}.{i}")


def corners(template: Any) -> Iterator[tuple[dict[str, Scalar], Any]]:
    """Fillings that together take every choice, every value of a short grid and both ends of every range at least once.

    The number of fillings grows with the sum of the choices, not with their product. Each is given with the
    parameters that differ from the first filling.
    """
    seen: set[tuple[str, Scalar]] = set()
    queue: list[dict[str, Scalar]] = [{}]
    while queue:
        forced = queue.pop(0)
        trial = Preset(forced)
        yield forced, fill(template, trial)
        for name, (taken, alternatives) in trial.visited.items():
            seen.add((name, taken))
            for value in alternatives:
                if (name, value) not in seen:
                    seen.add((name, value))
                    queue.append({**forced, name: value})


class Preset:
    """A trial that takes the given values, else the first choice or the lower end, and notes what it was asked."""

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        self.values, self.visited = values, dict[str, tuple[Scalar, list[Scalar]]]()

    def _take(self, name: str, alternatives: list[Scalar], closed: bool = False) -> Any:
        taken = self.values.get(name, alternatives[0])
        if closed and taken not in alternatives:
            taken = alternatives[0]
        self.visited[name] = (taken, alternatives)
        return taken

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's; the step decides which values are shown."""
        return float(self._take(name, _shown(low, high, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's."""
        return int(self._take(name, _shown(low, high, None if log else step)))

    def suggest_categorical(self, name: str, choices: list[Scalar]) -> Scalar:
        """As Optuna's."""
        return self._take(name, choices, closed=True)  # type: ignore[no-any-return]


def _shown(low: float, high: float, step: float | None) -> list[Scalar]:
    """The values that stand for a range in a check: a short grid whole, else both ends."""
    if step is not None and (high - low) / step < SHORT:
        return [low + i * step for i in range(int((high - low) / step) + 1)]
    return list(dict.fromkeys((low, high)))


def _labelled(choices: list[Any], where: str) -> dict[Scalar, Any]:
    """Choices by label: a scalar is its own, a component goes by its name, and by its settings where a name repeats."""
    names = [c.get("name") for c in choices if isinstance(c, Mapping)]
    labelled: dict[Scalar, Any] = {}
    for choice in choices:
        label = choice
        if isinstance(choice, Mapping | list):
            name = choice.get("name") if isinstance(choice, Mapping) else None
            fixed = (
                {k: v for k, v in choice.items() if k != "name" and not any(find_holes(v))}
                if isinstance(choice, Mapping)
                else {}
            )
            if name is None:
                label = json.dumps(choice, sort_keys=True)
            elif (names.count(name) > 1 or name in choices) and fixed:
                label = f"{name}({', '.join(f'{k}={v}' for k, v in fixed.items())})"
            else:
                label = name
        if label in labelled:
            raise SpecError(f"`{where}.choices`: every choice must stand once, got {label!r} twice.")
        labelled[label] = choice
    return labelled
