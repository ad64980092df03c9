"""The study file's JSON Schema, for completion and checking in editors."""

import json
from copy import deepcopy
from typing import Any

from study.spec import components
from study.spec.holes import KEYS
from study.spec.study_file import FIXED, StudySpec
from study.spec.trial_spec import TrialSpec

NUMBER = {
    "low": {"type": "number"},
    "high": {"type": "number"},
    "step": {"type": "number"},
    "log": {"type": "boolean"},
}


def json_schema() -> str:
    """JSON Schema (draft 2020-12) of a whole study file: every value that may be searched also takes a hole."""
    study = StudySpec.model_json_schema()
    trial = TrialSpec.model_json_schema()
    definitions = {**study.pop("$defs"), **trial.pop("$defs")}
    definitions["hole"] = {"anyOf": [_hole(kind) for kind in KEYS]}
    properties = {name: part for name, part in study["properties"].items() if name != "template"}
    for name, part in trial["properties"].items():
        properties[name] = _with_holes(_resolved(part, definitions), name, definitions)
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


def _hole(kind: str) -> dict[str, Any]:
    properties = {"choices": {"type": "array", "minItems": 1}} if kind == "categorical" else NUMBER
    required = ["type", "choices"] if kind == "categorical" else ["type", "low", "high"]
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": required,
        "additionalProperties": False,
    }


def _resolved(part: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A section written out in its place, since the same section may take holes in one place and none in another."""
    reference = part.get("$ref", "").removeprefix("#/$defs/")
    return (
        {**deepcopy(definitions[reference]), **{k: v for k, v in part.items() if k != "$ref"}}
        if reference
        else deepcopy(part)
    )


def _with_holes(part: dict[str, Any], where: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The section with a hole allowed for each value below it, and components listed by name."""
    kind = where.rsplit(".", 1)[-1]
    searched = not where.startswith(FIXED)
    if part.get("title") == "Component" and kind in components.FOLDERS:
        part = _component(kind)
    elif part.get("type") == "object" and "properties" in part:
        inner = {
            k: _with_holes(_resolved(v, definitions), f"{where}.{k}", definitions)
            for k, v in part["properties"].items()
        }
        section: dict[str, Any] = {**part, "properties": inner}
        if kind != "backbone":
            return section
        part = {"anyOf": [{"type": "string"}, section]}
    elif sections := [p for p in part.get("anyOf", []) if "$ref" in p]:  # a section or null
        inner = {p["$ref"]: _with_holes(_resolved(p, definitions), where, definitions) for p in sections}
        part = {**part, "anyOf": [inner.get(p.get("$ref"), p) for p in part["anyOf"]]}
    return {"anyOf": [part, {"$ref": "#/$defs/hole"}]} if searched else part


def _component(kind: str) -> dict[str, Any]:
    """A name, or a mapping with the name and the arguments of its constructor, each of which takes a hole too."""
    options: list[dict[str, Any]] = [{"enum": list(components.names(kind))}]
    for name in components.names(kind):
        arguments = components.schema(kind, name).model_json_schema()
        inner = {
            k: {"anyOf": [v, {"$ref": "#/$defs/hole"}]} for k, v in arguments.get("properties", {}).items()
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
