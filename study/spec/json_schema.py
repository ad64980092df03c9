"""The study file's JSON Schema, for completion and checking in editors."""

import json
from copy import deepcopy
from typing import Any, TypeAlias

from study.spec import components
from study.spec.holes import HOLE_KEYS
from study.spec.sharing import SHARED_KEYS
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

Schema: TypeAlias = dict[str, Any]

NUMBER_PROPERTIES = {
    "low": {"type": "number"},
    "high": {"type": "number"},
    "step": {"type": "number"},
    "log": {"type": "boolean"},
}
HOLE_REFERENCE = {"$ref": "#/$defs/hole"}


def json_schema() -> str:
    """JSON Schema (draft 2020-12) of a study file; every value that may be searched takes a hole, too."""
    study = StudySpec.model_json_schema()
    trial = TrialSpec.model_json_schema()
    definitions = {**study.pop("$defs"), **trial.pop("$defs")}
    definitions["hole"] = {"anyOf": [_hole(kind) for kind in HOLE_KEYS]}
    properties = {name: part for name, part in study["properties"].items() if name != "template"}
    for name, part in trial["properties"].items():
        properties[name] = _with_holes(_written_out(part, definitions), name, definitions)
    properties["bundles"] = {"type": "object", "additionalProperties": {"type": "object"}}
    properties["profiles"] = {"type": "object", "additionalProperties": {"type": "object"}}
    required = [name for name in (*study["required"], *trial["required"]) if name != "template"]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Study file",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def _hole(kind: str) -> Schema:
    """The schema of a hole of a kind."""
    is_choice = kind == "categorical"
    properties = {"choices": {"type": "array", "minItems": 1}} if is_choice else NUMBER_PROPERTIES
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", "choices"] if is_choice else ["type", "low", "high"],
        "additionalProperties": False,
    }


def _written_out(part: Schema, definitions: Schema) -> Schema:
    """A section in the place of the reference to it.

    The same section may take holes in one place of the study file and none in another.
    """
    reference = part.get("$ref", "").removeprefix("#/$defs/")
    if not reference:
        return deepcopy(part)
    beside = {key: value for key, value in part.items() if key != "$ref"}
    return {**deepcopy(definitions[reference]), **beside}


def _with_holes(part: Schema, where: str, definitions: Schema) -> Schema:
    """The section with a hole allowed for each value below it, and components listed by name.

    Args:
        part: schema of the section or value.
        where: its dotted place in the study file.
        definitions: the schemas that references lead to.
    """
    kind = where.rsplit(".", 1)[-1]
    if part.get("title") == "Component" and kind in components.FOLDERS:
        part = _component(kind)
    elif part.get("type") == "object" and "properties" in part:
        inner = {
            key: _with_holes(_written_out(value, definitions), f"{where}.{key}", definitions)
            for key, value in part["properties"].items()
        }
        section: Schema = {**part, "properties": inner}
        if kind != "backbone":
            return section
        part = {"anyOf": [{"type": "string"}, section]}
    elif sections := [option for option in part.get("anyOf", []) if "$ref" in option]:  # a section or null
        inner = {
            option["$ref"]: _with_holes(_written_out(option, definitions), where, definitions)
            for option in sections
        }
        part = {**part, "anyOf": [inner.get(option.get("$ref"), option) for option in part["anyOf"]]}
    return part if where.startswith(SHARED_KEYS) else {"anyOf": [part, HOLE_REFERENCE]}


def _component(kind: str) -> Schema:
    """A component's name, or a mapping with the name and arguments, each of which takes a hole, too."""
    options: list[Schema] = [{"enum": list(components.names(kind))}]
    for name in components.names(kind):
        arguments = components.schema(kind, name).model_json_schema()
        inner = {
            key: {"anyOf": [value, HOLE_REFERENCE]} for key, value in arguments.get("properties", {}).items()
        }
        options.append(
            {
                "type": "object",
                "properties": {"name": {"const": name}, **inner},
                "required": ["name", *arguments.get("required", [])],
                "additionalProperties": False,
            }
        )
    return {"anyOf": options}
