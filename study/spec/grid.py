"""Every combination of a search space whose holes have a countable number of values."""

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from study.spec.errors import SpecError
from study.spec.holes import Hole, Scalar, is_hole


def grid_size(template: Any, where: str = "") -> int:
    """Number of combinations; those of a branch count only with its choice.

    Raises:
        SpecError: a hole has no countable values.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        if hole.choices is None:
            return len(_values(hole, where))
        return sum(grid_size(choice, f"{where}.{label}") for label, choice in hole.choices.items())
    return prod(grid_size(part, path) for path, part in _parts(template, where))


def combinations(template: Any, where: str = "") -> Iterator[dict[str, Scalar]]:
    """Parameters of every combination in the order of the study file, the last hole changing fastest.

    Raises:
        SpecError: a hole has no countable values.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        if hole.choices is None:
            yield from ({where: value} for value in _values(hole, where))
            return
        for label, choice in hole.choices.items():
            yield from ({where: label, **rest} for rest in combinations(choice, f"{where}.{label}"))
        return
    for parts in product(*(combinations(part, path) for path, part in _parts(template, where))):
        yield {name: value for part in parts for name, value in part.items()}


def _parts(template: Any, where: str) -> list[tuple[str, Any]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(template, Mapping):
        items = list(template.items())
    elif isinstance(template, list):
        items = list(enumerate(template))
    return [(f"{where}.{key}" if where else str(key), part) for key, part in items]


def _values(hole: Hole, where: str) -> list[Scalar]:
    step = hole.step or (1 if hole.kind == "int" else None)
    if step is None:
        raise SpecError(
            f"`{where}`: must have a `step` in a grid, got a continuum from {hole.low:g} to {hole.high:g}. "
            "Give one, or list the values as choices."
        )
    count = int((hole.high - hole.low) / step + 1e-9) + 1
    return [
        int(hole.low + i * step) if hole.kind == "int" else float(hole.low + i * step) for i in range(count)
    ]
