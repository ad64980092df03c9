"""What each component is, read from its module's docstring and its constructor."""

import inspect
import re
import sys
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from study.spec import components

PARTS = re.compile(r"^(Source|Differs):", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A component as it is told to a reader.

    Attributes:
        kind: the open set it belongs to.
        name: what a study file calls it.
        summary: first line of its module's docstring.
        source: where it comes from.
        differs: what is not as in the source.
        arguments: what a study file may set, as `name: type = default`.
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
    parts = {
        part: " ".join(words.split("\n\n")[0].split())
        for part, words in zip(rest[::2], rest[1::2], strict=True)
    }
    summary = " ".join(head.strip().split("\n\n")[0].split())
    return Entry(kind, name, summary, parts.get("Source", ""), parts.get("Differs", ""), _arguments(cls))


def _arguments(cls: type[Any]) -> tuple[str, ...]:
    hints = get_type_hints(cls.__init__)
    settable = [p for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return tuple(
        f"{p.name}: {_type(hints[p.name])}" + ("" if p.default is p.empty else f" = {p.default}")
        for p in settable
    )


def _type(hint: Any) -> str:
    """A type as a study file's writer thinks of it: the choices of a literal, `|` between alternatives."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(_type(part) for part in get_args(hint))
    if get_origin(hint) is not None:
        return f"{get_origin(hint).__name__} of {', '.join(_type(part) for part in get_args(hint) if part is not ...)}"
    return "null" if hint is NoneType else str(getattr(hint, "__name__", hint))
