"""Every combination of a search space whose holes have a countable number of values."""

from collections.abc import Iterator
from itertools import product
from math import prod

from study.spec.errors import SpecError
from study.spec.holes import Hole, Plain, Scalar, is_hole, parts_of


def grid_size(template: Plain, where: str = "") -> int:
    """Number of combinations; those of a branch count only with its choice.

    Args:
        template: plain data with holes.
        where: dotted path of the template, the prefix of its parameters' names.

    Raises:
        SpecError: the values of a hole cannot be counted.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        if hole.choices is None:
            return len(_values(hole, where))
        return sum(grid_size(choice, f"{where}.{label}") for label, choice in hole.choices.items())
    return prod(grid_size(part, path) for path, part in parts_of(template, where))


def combinations(template: Plain, where: str = "") -> Iterator[dict[str, Scalar]]:
    """Parameters of every combination in the order of the study file, the last hole changing fastest.

    Args:
        template: plain data with holes.
        where: dotted path of the template, the prefix of its parameters' names.

    Raises:
        SpecError: the values of a hole cannot be counted.
    """
    if is_hole(template):
        hole = Hole.read(template, where)
        if hole.choices is None:
            yield from ({where: value} for value in _values(hole, where))
            return
        for label, choice in hole.choices.items():
            yield from ({where: label, **rest} for rest in combinations(choice, f"{where}.{label}"))
        return
    for parts in product(*(combinations(part, path) for path, part in parts_of(template, where))):
        yield {name: value for part in parts for name, value in part.items()}


def _values(hole: Hole, where: str) -> list[Scalar]:
    step = hole.step or (1 if hole.kind == "int" else None)
    if step is None:
        raise SpecError(
            f"`{where}`: must have a `step` in a grid, got a continuum from {hole.low:g} to {hole.high:g}. "
            "Give one, or list the values as choices."
        )
    count = int((hole.high - hole.low) / step + 1e-9) + 1
    number = int if hole.kind == "int" else float
    return [number(hole.low + i * step) for i in range(count)]
