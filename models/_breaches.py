"""How a component keeps the contract of its kind, which is checked when its file is imported."""

from abc import ABCMeta
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from inspect import formatannotation, get_annotations
from types import FunctionType
from typing import Any, ClassVar, get_args, get_origin

BEHAVIOUR = (FunctionType, property, classmethod, staticmethod)


def breaches(component: ABCMeta, contracts: str) -> Iterator[str]:
    """How a component breaks its contract; nothing where it keeps it.

    Args:
        component: The class of the component.
        contracts: Name of the module of all contracts.
    """
    contract = component.__bases__[0]
    if len(component.__bases__) > 1 or contract.__module__ != contracts:
        bases = ", ".join(base.__name__ for base in component.__bases__)
        yield (
            f"must subclass one contract of {contracts} and nothing else, got {bases}. "
            "Hold another component as a part."
        )
        return
    assert isinstance(contract, ABCMeta)
    declared = _declared(contract, contracts)
    yield from _missing(component, contract, declared)
    for name, value in vars(component).items():
        if name in declared or name.startswith("_") or isinstance(value, BEHAVIOUR):
            continue
        near = get_close_matches(name, declared, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else "A private name starts with an underscore."
        yield f"must declare only what the contract {contract.__name__} knows, got `{name}`. {hint}"


def _missing(component: ABCMeta, contract: ABCMeta, declared: Mapping[str, Any]) -> Iterator[str]:
    """The declarations and methods that a component lacks, and the declarations of another type."""
    owed = f"of the contract {contract.__name__}"
    for name, kind in declared.items():
        shown = f"`{name}: {formatannotation(kind)}`"
        if not hasattr(component, name):
            yield f"must declare {shown} {owed}, got nothing. Set it in the class."
        elif not isinstance(value := getattr(component, name), kind):
            yield f"must declare {shown} {owed}, got {value!r}. Set it to a value of this type."
    for name in sorted(contract.__abstractmethods__ - vars(component).keys()):
        yield f"must have the method `{name}` {owed}, got none. Define it in the class."


def _declared(contract: ABCMeta, contracts: str) -> dict[str, Any]:
    """The class attributes of a contract, with their types."""
    hints: dict[str, Any] = {}
    for part in contract.__mro__:
        if part.__module__ == contracts:
            hints |= get_annotations(part)
    return {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is ClassVar}
