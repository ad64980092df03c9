"""What each key of a study file means and may hold, as the sections and their docstrings say."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo

from study.spec.ablation import AblationSpec
from study.spec.components import Component
from study.spec.section import Section
from study.spec.sharing import SHARED_KEYS
from study.spec.trial_spec import TrialSpec

ATTRIBUTE = re.compile(r"^ {4}(\w+): ", re.MULTILINE)
NO_KEYS = ("template",)  # of StudySpec: the keys in it are those of TrialSpec
TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "mapping",
    "null": "`null`",
}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as a reader sees it.

    Attributes:
        place: Dotted place in the study file.
        meaning: What it decides.
        values: What it may hold, in words; empty where a section stands.
        kind: Kind of the component that stands there, else empty.
        default: Value where the key is left out, in code; empty for a section. None where it must be given.
        takes_hole: Whether the search may try several values.
    """

    place: str
    meaning: str
    values: str
    kind: str
    default: str | None
    takes_hole: bool


@dataclass(frozen=True)
class KeySection:
    """The keys of one section.

    Attributes:
        place: Dotted place in the study file; empty for the file itself.
        meaning: What the section decides.
        keys: Its keys, in the order of the section.
    """

    place: str
    meaning: str
    keys: tuple[Key, ...]


def sections_of(model: type[Section], where: str = "") -> Iterator[KeySection]:
    """The section of the model, then every section below it.

    Args:
        model: `StudySpec` or `TrialSpec` for a whole file, or a part of one of them.
        where: Dotted place of the section.
    """
    places = {key: f"{where}.{key}" if where else key for key in model.model_fields if key not in NO_KEYS}
    keys = tuple(_key(model, key, place) for key, place in places.items())
    yield KeySection(where, _summary(model), keys)
    for key, place in places.items():
        for part in _parts(model.model_fields[key].annotation):
            yield from sections_of(part, f"{place}.NAME" if part is AblationSpec else place)


def attributes(model: type) -> dict[str, str]:
    """The meaning of each field, from the part `Attributes:` of the docstring."""
    text = (inspect.getdoc(model) or "").partition("\nAttributes:\n")[2]
    _, *found = ATTRIBUTE.split(text)
    return {name: " ".join(meaning.split()) for name, meaning in zip(found[::2], found[1::2], strict=True)}


def values_of(part: Mapping[str, Any]) -> str:
    """The values that a JSON Schema allows, in words."""
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(values_of(option) for option in part["anyOf"]))
    if part.get("type") == "array":
        return f"list ({values_of(part.get('items', {}))})"
    limits = [f"{word} {part[key]:g}" for key, word in LIMITS.items() if key in part]
    return ", ".join([TYPES[part.get("type", "object")], *limits])


def _key(model: type[Section], key: str, place: str) -> Key:
    field = model.model_fields[key]
    is_section, is_component = any(_parts(field.annotation)), field.annotation is Component
    values = "" if is_section else values_of(model.model_json_schema()["properties"][key])
    in_trial = place.split(".")[0] in TrialSpec.model_fields and not place.startswith(SHARED_KEYS)
    is_whole = is_section and key != "backbone" and type(None) not in get_args(field.annotation)
    return Key(
        place=place,
        meaning=attributes(model).get(key, ""),
        values=values,
        kind=key if is_component else "",
        default=None if field.is_required() else _default(field),
        takes_hole=in_trial and not is_whole,
    )


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return ""
    return str(value) if isinstance(value, Component | str) else json.dumps(value)


def _parts(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a field may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _summary(model: type) -> str:
    return (inspect.getdoc(model) or "").split("\nAttributes:")[0].split("\nSource:")[0].strip()
