"""Open sets of components: the file name is the registry, the constructor is the schema.

`models/fusions/casfm.py` is the fusion `casfm`. The module defines one public class; its positional constructor
arguments are wired by the platform (channels, number of labels), its keyword-only arguments are what a study file
may set. A pydantic model made from that signature checks the arguments before any work starts.
"""

import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from study.spec.errors import SpecError, suggest

FOLDERS = {
    "attention": "models.attentions",
    "context": "models.contexts",
    "pooling": "models.poolings",
    "fusion": "models.fusions",
    "head": "models.heads",
    "loss": "models.losses",
    "generator": "models.generators",
    "dataset": "study.data.datasets",
    "illumination": "study.data.illuminations",
    "table": "study.reporting.tables",
    "figure": "study.reporting.figures",
}


class Component(BaseModel):
    """A component by name with its checked arguments; in YAML a bare name or a mapping with `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    args: dict[str, Any] = {}

    def __str__(self) -> str:
        return (
            self.name
            if not self.args
            else f"{self.name}({', '.join(f'{k}={v}' for k, v in self.args.items())})"
        )


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of all components of a kind: the public module names in its folder."""
    folder = importlib.import_module(FOLDERS[kind])
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folder.__path__) if not m.name.startswith("_")))


@cache
def load(kind: str, name: str) -> type[Any]:
    """The one public class that the component's file defines.

    Raises:
        SpecError: no file of that name in the kind's folder.
    """
    if name not in names(kind):
        raise SpecError(
            f"`{kind}`: must be one of this project's {kind} components, got `{name}`. {suggest(name, names(kind))}"
        )
    module = importlib.import_module(f"{FOLDERS[kind]}.{name}")
    public = [
        c
        for n, c in vars(module).items()
        if inspect.isclass(c) and c.__module__ == module.__name__ and not n.startswith("_")
    ]
    if len(public) != 1:
        raise TypeError(
            f"{module.__name__} must define exactly one public class, found {[c.__name__ for c in public]}"
        )
    return public[0]


@cache
def schema(kind: str, name: str) -> type[BaseModel]:
    """The pydantic model of the component's keyword-only arguments."""
    cls = load(kind, name)
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is p.empty else p.default)
        for p in inspect.signature(cls).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    return create_model(f"{kind}.{name}", __config__=ConfigDict(extra="forbid", strict=False), **fields)


def parse(kind: str, value: object, where: str) -> Component:
    """A study file's value, `name` or `{name: ..., argument: ...}`, as a checked component.

    Raises:
        SpecError: the value has another form, the name is unknown, or an argument is unknown, missing or of a wrong type.
    """
    if isinstance(value, Component):
        return value
    if value is None:
        value = "none"
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise SpecError(
            f"`{where}`: must be a component's name or a mapping with `name`, got {value!r}. Known: {', '.join(names(kind))}."
        )
    name, args = value["name"], {k: v for k, v in value.items() if k != "name"}
    if name not in names(kind):
        raise SpecError(f"`{where}`: must be a known {kind}, got `{name}`. {suggest(name, names(kind))}")
    try:
        checked = schema(kind, name).model_validate(args)
    except ValidationError as error:
        raise SpecError(validation_message(error, f"{where}.{name}", schema(kind, name))) from None
    return Component(name=name, args=checked.model_dump(include=set(args)))


def build(kind: str, component: Component, *wired: Any) -> Any:
    """Constructs the component from what the platform wires and what the study file set."""
    args = schema(kind, component.name).model_validate(component.args)
    return load(kind, component.name)(*wired, **{k: getattr(args, k) for k in type(args).model_fields})


def validation_message(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """A pydantic error as the project's one-line messages, with the nearest known key for a misspelt one."""
    lines = []
    for item in error.errors():
        path = (
            ".".join([where, *(str(p) for p in item["loc"])])
            if where
            else ".".join(str(p) for p in item["loc"])
        )
        if item["type"] == "extra_forbidden":
            known = _fields_at(model, item["loc"][:-1])
            lines.append(f"`{path}`: unknown key. {suggest(str(item['loc'][-1]), known)}")
        elif item["type"] == "missing":
            lines.append(f"`{path}`: must be given.")
        elif item["type"] == "value_error":
            lines.append(str(item["ctx"]["error"]))
        else:
            lines.append(f"`{path}`: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r}.")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Field names of the (nested) model at a place, to suggest the nearest one."""
    for part in loc:
        field = model.model_fields.get(str(part))
        options = (field.annotation, *get_args(field.annotation)) if field else ()  # a section may be null
        inner = next(
            (option for option in options if inspect.isclass(option) and issubclass(option, BaseModel)), None
        )
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
