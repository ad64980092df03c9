"""What each component is, as its module's docstring and its constructor say."""

import inspect
import re
import sys
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from study.spec import components

PARTS = re.compile(r"^(Source|Differs):", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A component as a reader sees it.

    Attributes:
        kind: Kind of the component.
        name: Name in a study file.
        summary: First paragraph of its module's docstring.
        source: Where it comes from.
        differs: What is not as in the source.
        arguments: Arguments that a study file may set, as `name: type = default`.
    """

    kind: str
    name: str
    summary: str
    source: str
    differs: str
    arguments: tuple[str, ...]


def entries(kind: str) -> list[Entry]:
    """Every component of a kind, by name."""
    return [_entry(kind, name) for name in components.names(kind)]


def _entry(kind: str, name: str) -> Entry:
    cls = components.load(kind, name)
    text = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    head, *rest = PARTS.split(text)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    hints = get_type_hints(cls.__init__)
    return Entry(
        kind=kind,
        name=name,
        summary=_first_paragraph(head),
        source=_first_paragraph(parts.get("Source", "")),
        differs=_first_paragraph(parts.get("Differs", "")),
        arguments=tuple(
            _argument(parameter, hints[parameter.name]) for parameter in components.settable(cls)
        ),
    )


def _first_paragraph(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def _argument(parameter: inspect.Parameter, hint: Any) -> str:
    shown = f"{parameter.name}: {_type(hint)}"
    return shown if parameter.default is parameter.empty else f"{shown} = {parameter.default}"


def _type(hint: Any) -> str:
    """A type as the writer of a study file knows it: the choices of a literal, `|` between alternatives."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(_type(part) for part in get_args(hint))
    if get_origin(hint) is not None:
        parts = ", ".join(_type(part) for part in get_args(hint) if part is not ...)
        return f"{get_origin(hint).__name__} of {parts}"
    return "null" if hint is NoneType else str(getattr(hint, "__name__", hint))
