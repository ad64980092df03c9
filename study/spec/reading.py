"""From a YAML file to plain data: read safely, overridden by `--set`, changed by a profile."""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from study.spec.errors import SpecError, suggest
from study.spec.holes import Plain

BOOL_TAG, FLOAT_TAG, MERGE_TAG = (f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "merge"))
NUMBER = (
    r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
    r"|\.(?:inf|Inf)|\.(?:nan|NaN))$"
)
TEXT_SETTINGS = frozenset(
    {
        "data.root",
        "data.split.file",
        "model.backbone.weights",
        "resources.address",
        "storage",
        "study",
        "title",
    }
)
"""Dotted keys whose value is a path or another text, in which ` #`, `: ` and digits mean themselves."""
NULLS = ("", "~", "null", "Null", "NULL")
HOLE_PARTS = ("type", "low", "high", "step", "log", "choices")


class _Loader(yaml.SafeLoader):
    """Safe YAML, in which `1e-5` is a number, `no` and `off` are words, and no key may stand twice."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolves merges (`<<: *anchor`), after which a key may stand twice.

        Double keys are therefore looked for before, and only once: a mapping is resolved again where it is
        merged into another.
        """
        checked = self.__dict__.setdefault("_checked", set())
        if node not in checked:
            checked.add(node)
            self._refuse_double_keys(node)
        super().flatten_mapping(node)

    def _refuse_double_keys(self, node: yaml.MappingNode) -> None:
        seen: list[object] = []
        for key_node, _ in node.value:
            if key_node.tag == MERGE_TAG:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"key `{key}` stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.append(key)


_Loader.yaml_implicit_resolvers = {}
for _first, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    _kept = [(tag, pattern) for tag, pattern in _resolvers if tag not in (BOOL_TAG, FLOAT_TAG)]
    _Loader.yaml_implicit_resolvers[_first] = _kept
_Loader.add_implicit_resolver(BOOL_TAG, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(FLOAT_TAG, re.compile(NUMBER), list("-+0123456789."))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping as plain data.

    Raises:
        SpecError: there is no such file, or it is not YAML in UTF-8, or no mapping.
    """
    if not path.is_file():
        nearby = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = f" {suggest(path.name, nearby)}" if nearby else ""
        raise SpecError(f"`{path}`: must be a study file, and no such file exists.{hint}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"`{path}`: must be a YAML file in UTF-8, got other bytes at place {error.start}. "
            "Save it as UTF-8 in the editor."
        ) from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise SpecError(f"`{path}`: must hold a mapping with the keys of a study, got {type(data).__name__}.")
    return data


def parse_yaml(text: str, where: str) -> Plain:
    """Plain data from YAML text, without constructing any object.

    Raises:
        SpecError: the text is not YAML; the message has the line.
    """
    try:
        data: Plain = yaml.load(text, _Loader)  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise SpecError(f"`{where}`: must be YAML. {' '.join(str(error).split())}") from None
    return data


def override(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the data with every dotted key of the settings set.

    A number in a key is a place in a list. The bare name of a component becomes a mapping where a key leads
    into it.

    Raises:
        SpecError: a key leads through a value that has no parts.
    """
    changed: dict[str, Any] = deepcopy(dict(data))
    for key, value in settings.items():
        _set_value(changed, key, deepcopy(value))
    return changed


def parse_settings(texts: list[str]) -> dict[str, Plain]:
    """`["a.b=1e-3", ...]` as `{"a.b": 0.001, ...}`; the value is YAML, or itself for `TEXT_SETTINGS`.

    Plain words stay whole for every key: YAML would cut `site #2` off at its `#`, and take `a: b` for a
    mapping.

    Raises:
        SpecError: a text has no `=` or no key before it.
    """
    settings: dict[str, Plain] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise SpecError(f"`--set {text}`: must have the form key.of.the.value=value.")
        settings[key] = _value_of(key, value.strip())
    return settings


def _value_of(key: str, text: str) -> Plain:
    is_written_as_yaml = text.startswith(("{", "'", '"'))  # a hole, or words between quotes
    if key in TEXT_SETTINGS and not is_written_as_yaml:
        return None if text in NULLS else text
    if (" #" in text or ": " in text) and not is_written_as_yaml and not text.startswith("["):
        return text
    return parse_yaml(text, f"--set {key}")


def _set_value(data: dict[str, Plain], key: str, value: Plain) -> None:
    """Sets `a.b.c` in nested mappings and lists in place."""
    *parents, last = key.split(".")
    here: dict[str, Plain] | list[Plain] = data
    for depth, part in enumerate(parents, start=1):
        below = here[_index(here, part, key)] if isinstance(here, list) else _part_of(here, part)
        if not isinstance(below, dict | list):
            place = ".".join(parents[:depth])
            raise SpecError(f"`{key}`: `{place}` must be a mapping to set a part of it, got {below!r}.")
        here = below
    if isinstance(here, list):
        here[_index(here, last, key)] = value
        return
    if "type" in here and last not in HOLE_PARTS:
        raise SpecError(
            f"`{key}`: `{'.'.join(parents)}` is a hole; set it whole, "
            f"or reach a choice by its place: `choices.0.{last}`."
        )
    here[last] = value


def _part_of(mapping: dict[str, Plain], key: str) -> Plain:
    """A part to set something in: made where it is missing, grown from a component's bare name."""
    part = mapping.get(key)
    if isinstance(part, str):
        mapping[key] = {"name": part}
    return mapping.setdefault(key, {})


def _index(items: list[Plain], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise SpecError(
            f"`{key}`: `{part}` must be a place in a list of {len(items)}, from 0 to {len(items) - 1}."
        )
    return int(part)
