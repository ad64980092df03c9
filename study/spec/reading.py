"""From a YAML file to plain data: read safely, overridden by `--set`, changed by a profile."""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from study.spec.errors import SpecError, suggest


class _Loader(yaml.SafeLoader):
    """Safe YAML with the scalars people mean: `1e-5` is a number, `no` and `off` are words, a key stands once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolves merges (`<<: *anchor`), after which a key that the mapping itself holds rightly stands twice."""
        checked = self.__dict__.setdefault("_checked", set())
        if node not in checked:
            checked.add(node)
            keys = [
                (self.construct_object(key, deep=True), key)
                for key, _ in node.value
                if key.tag != "tag:yaml.org,2002:merge"
            ]
            for place, (key, mark) in enumerate(keys):
                if key in [earlier for earlier, _ in keys[:place]]:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key `{key}` stands twice", mark.start_mark
                    )
        super().flatten_mapping(node)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf)|\.(?:nan|NaN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping as plain data.

    Raises:
        SpecError: no such file, not YAML, or not a mapping.
    """
    if not path.is_file():
        nearby = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise SpecError(
            f"`{path}`: must be a study file, and no such file exists. {suggest(path.name, nearby) if nearby else ''}".rstrip()
        )
    data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(data, dict):
        raise SpecError(f"`{path}`: must hold a mapping with the keys of a study, got {type(data).__name__}.")
    return data


def parse_yaml(text: str, where: str) -> Any:
    """Plain data from YAML text, without constructing any object.

    Raises:
        SpecError: the text is not YAML; the message has the line.
    """
    try:
        return yaml.load(text, _Loader)  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise SpecError(f"`{where}`: must be YAML. {' '.join(str(error).split())}") from None


def set_value(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets `a.b.c` in nested mappings in place; a number indexes a list, a bare component name grows into a mapping.

    Raises:
        SpecError: the path leads through a value that has no parts.
    """
    *parents, last = key.split(".")
    here: Any = data
    for depth, part in enumerate(parents):
        if isinstance(here, list):
            here = here[_index(here, part, key)]
            continue
        if isinstance(here.get(part), str):
            here[part] = {"name": here[part]}
        here = here.setdefault(part, {})
        if not isinstance(here, dict | list):
            raise SpecError(
                f"`{key}`: `{'.'.join(parents[: depth + 1])}` must be a mapping to set a part of it, got {here!r}."
            )
    if isinstance(here, list):
        here[_index(here, last, key)] = value
    else:
        if "type" in here and last not in ("type", "low", "high", "step", "log", "choices"):
            raise SpecError(
                f"`{key}`: `{'.'.join(parents)}` is a hole; set it whole, or reach a choice by its place: `choices.0.{last}`."
            )
        here[last] = value


def override(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the data with every dotted key of the settings set."""
    changed = deepcopy(dict(data))
    for key, value in settings.items():
        set_value(changed, key, deepcopy(value))
    return changed


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """`["a.b=1e-3", ...]` as `{"a.b": 0.001, ...}`; the value is YAML.

    Raises:
        SpecError: a text without `=` or without a key.
    """
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise SpecError(f"`--set {text}`: must have the form key.of.the.value=value.")
        settings[key] = parse_yaml(value, f"--set {key}")
    return settings


def _index(items: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise SpecError(
            f"`{key}`: `{part}` must be a place in a list of {len(items)}, from 0 to {len(items) - 1}."
        )
    return int(part)
