"""Open sets of components: the file name is the registry, the constructor is the schema.

`models/fusions/casfm.py` is the fusion `casfm`. The module defines one public class, a subclass of the kind's
contract where the kind has one. The positional arguments of its constructor come from the platform (channels,
number of labels); the keyword-only arguments are those that a study file may set. A pydantic model made from
that signature checks the arguments before any work starts.

Another package may offer components, too: an entry point of the group `eyepair_study.fusion` names a class
by the name that study files use.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
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

CONTRACTS = {
    "attention": "Attention",
    "context": "Context",
    "pooling": "Pooling",
    "fusion": "Fusion",
    "head": "Head",
    "loss": "Loss",
    "generator": "Generator",
}
"""Classes of `models.contracts`, by kind."""

GROUP = "eyepair_study"  # of entry points, before the kind


class Component(BaseModel):
    """A component by its name, with its checked arguments; in YAML a bare name or a mapping with `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    args: dict[str, Any] = {}

    def __str__(self) -> str:
        args = ", ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.name}({args})" if args else self.name


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of all components of a kind, those of other packages included."""
    return tuple(sorted([*_own_names(kind), *outside(kind)]))


def _own_names(kind: str) -> tuple[str, ...]:
    """The names of the public modules in the kind's folder."""
    folder = importlib.import_module(FOLDERS[kind])
    found = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    return tuple(name for name in found if not name.startswith("_"))


@cache
def outside(kind: str) -> Mapping[str, EntryPoint]:
    """The components of a kind that other installed packages offer, by name.

    Raises:
        SpecError: Two components have one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"{GROUP}.{kind}"):
        other = f"{FOLDERS[kind]}.{point.name}" if point.name in _own_names(kind) else ""
        if point.name in found:
            other = found[point.name].value
        if other:
            raise SpecError(
                f"`{kind}`: a name must stand for one component, got `{point.name}` for {other} and for "
                f"{point.value} of the package {package_of(point)}. Rename one, or uninstall its package."
            )
        found[point.name] = point
    return found


def package_of(point: EntryPoint) -> str:
    """Name and version of the package that offers a component."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown one"


def outside_packages() -> dict[str, str]:
    """The version of each package that offers components, by its name."""
    points = [point for kind in FOLDERS for point in outside(kind).values()]
    return {point.dist.name: point.dist.version for point in points if point.dist}


@cache
def load(kind: str, name: str) -> type[Any]:
    """The one public class that the component's file defines, or the class that another package names.

    Raises:
        SpecError: There is no component of that name, or another package's cannot be imported.
        TypeError: The file defines no public class or several, or one that does not keep the kind's contract.
    """
    if name not in names(kind):
        raise SpecError(f"`{kind}`: must be a known {kind}, got `{name}`. {suggest(name, names(kind))}")
    if name in outside(kind):
        return _load_outside(kind, outside(kind)[name])
    module = importlib.import_module(f"{FOLDERS[kind]}.{name}")
    public = [
        value
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if len(public) != 1:
        found = ", ".join(cls.__name__ for cls in public) or "none"
        raise TypeError(
            f"`{module.__name__}`: must define exactly one public class, got {found}. "
            "Give helpers a name that starts with an underscore."
        )
    _check_contract(kind, public[0])
    return public[0]


def _load_outside(kind: str, point: EntryPoint) -> type[Any]:
    where = f"`{kind}` {point.name} of the package {package_of(point)}"
    try:
        cls = point.load()
    except (ImportError, AttributeError, TypeError) as error:
        raise SpecError(f"{where}: must be a class that can be imported, got: {error}") from None
    if not inspect.isclass(cls):
        raise SpecError(f"{where}: must be a class, got {cls!r}. Name the class after the colon.")
    _check_contract(kind, cls)
    return cls


def _check_contract(kind: str, cls: type[Any]) -> None:
    """Passes where the class keeps the contract of its kind, or where the kind has no contract.

    Raises:
        TypeError: The class subclasses another contract, or none.
    """
    if kind not in CONTRACTS:
        return
    contract = vars(importlib.import_module("models.contracts"))[CONTRACTS[kind]]
    if not issubclass(cls, contract):
        raise TypeError(
            f"`{cls.__module__}`: must define a subclass of models.contracts.{contract.__name__}, "
            f"got {cls.__name__}. Change its base class, or move the file."
        )


@cache
def schema(kind: str, name: str) -> type[BaseModel]:
    """The pydantic model of the component's keyword-only arguments."""
    cls = load(kind, name)
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (
            hints[parameter.name],
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in settable(cls)
    }
    return create_model(f"{kind}.{name}", __config__=ConfigDict(extra="forbid", strict=False), **fields)


def settable(cls: type[Any]) -> list[inspect.Parameter]:
    """The arguments of a component that a study file may set."""
    parameters = inspect.signature(cls).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def parse(kind: str, value: object, where: str) -> Component:
    """A study file's value, `name` or `{name: ..., argument: ...}`, as a checked component.

    Args:
        kind: Kind of the component.
        value: The value; None is the component `none`.
        where: Key of the value in the study file, for messages.

    Raises:
        SpecError: The value has another form, the name is unknown, or an argument is unknown, missing or of a
            wrong type.
    """
    if isinstance(value, Component):
        return value
    if value is None:
        value = "none"
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise SpecError(
            f"`{where}`: must be a component's name or a mapping with `name`, got {value!r}. "
            f"Known: {', '.join(names(kind))}."
        )
    name = value["name"]
    args = {key: part for key, part in value.items() if key != "name"}
    if name not in names(kind):
        raise SpecError(f"`{where}`: must be a known {kind}, got `{name}`. {suggest(name, names(kind))}")
    try:
        checked = schema(kind, name).model_validate(args)
    except ValidationError as error:
        raise SpecError(validation_message(error, f"{where}.{name}", schema(kind, name))) from None
    return Component(name=name, args=checked.model_dump(include=set(args)))


def all_args(kind: str, component: Component) -> dict[str, Any]:
    """The arguments of a component, those that take their defaults included."""
    return schema(kind, component.name).model_validate(component.args).model_dump()


def build(kind: str, component: Component, *wired: Any) -> Any:
    """Constructs the component.

    Args:
        kind: Kind of the component.
        component: The component as the study file sets it.
        *wired: Positional arguments of the constructor, which come from the platform.
    """
    args = schema(kind, component.name).model_validate(component.args)
    return load(kind, component.name)(*wired, **{key: getattr(args, key) for key in type(args).model_fields})


def validation_message(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """A pydantic error as messages of one line each, with the nearest known key for a misspelt one.

    Args:
        error: The error.
        where: Key in the study file of the value that was checked; empty for the whole file.
        model: The model that refused the value.
    """
    lines = []
    for item in error.errors():
        path = ".".join(filter(None, (where, *map(str, item["loc"]))))
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
    """Names of the fields of the nested model at a place; none where there is no model."""
    for part in loc:
        field = model.model_fields.get(str(part))
        options = (field.annotation, *get_args(field.annotation)) if field else ()  # a section may be null
        nested = [option for option in options if inspect.isclass(option) and issubclass(option, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)
