"""From settings as one writes them in a study file to the parameters of the search that give them.

`{optimiser.lr: 1e-4, model.context: {name: osim, kernel: 3}}`, or the same by the parameters' names:
`{optimiser.lr: 1e-4, model.context: osim, model.context.osim.kernel: 3}`.
"""

from collections.abc import Iterator, Mapping

from study.spec.errors import SpecError, suggest
from study.spec.holes import Hole, Plain, Preset, Scalar, fill, find_holes, is_hole, is_number


def params_of(template: Mapping[str, Plain], settings: Mapping[str, Plain]) -> dict[str, Scalar]:
    """The parameters that lead to the settings; those that the settings leave open are not among them.

    Args:
        template: a study file's template with its holes.
        settings: values by parameter, or by dotted key of the study file.

    Raises:
        SpecError: nothing has a key, a value lies outside of its hole or differs from a fixed one, or a
            parameter belongs to a choice that is not taken.
    """
    holes = dict(find_holes(template))
    params: dict[str, Scalar] = {}
    for key, value in settings.items():
        if key in holes:
            params.update(_params_of_hole(holes[key], value, key))
        else:
            params.update(_match(_part(template, key, holes), value, key))
    trial = Preset(params)
    fill(template, trial)
    for name in params.keys() - trial.asked.keys():
        raise SpecError(
            f"`{name}`: must stand with the choice that has it, got another one or none. Set the choice too."
        )
    return params


def _part(template: Mapping[str, Plain], key: str, holes: Mapping[str, Hole]) -> Plain:
    here: Plain = template
    for part in key.split("."):
        if not isinstance(here, Mapping) or is_hole(here) or part not in here:
            raise SpecError(f"`{key}`: must be a parameter or a key of the study file. {suggest(key, holes)}")
        here = here[part]
    return here


def _match(part: Plain, value: Plain, where: str) -> Iterator[tuple[str, Scalar]]:
    """The parameters that make a part of the template equal to the value."""
    if is_hole(part):
        yield from _params_of_hole(Hole.read(part, where), value, where)
    elif isinstance(part, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in part:
                hint = suggest(str(key), map(str, part))
                raise SpecError(f"`{where}.{key}`: must be a key of the study file. {hint}")
            yield from _match(part[key], inner, f"{where}.{key}")
    elif part != value and not (isinstance(part, Mapping) and part.get("name") == value):
        raise SpecError(f"`{where}`: is fixed at {part!r}, got {value!r}. Make it a hole, or leave it out.")


def _params_of_hole(hole: Hole, value: Plain, where: str) -> Iterator[tuple[str, Scalar]]:
    if hole.choices is None:
        yield where, _number_in(hole, value, where)
        return
    if not isinstance(value, Mapping | list) and value in hole.choices:
        yield where, value
        return
    for label, choice in hole.choices.items():
        try:
            inner = dict(_match(choice, value, f"{where}.{label}"))
        except SpecError:
            continue
        yield where, label
        yield from inner.items()
        return
    raise SpecError(
        f"`{where}`: must be one of the choices {', '.join(map(str, hole.choices))}, got {value!r}."
    )


def _number_in(hole: Hole, value: Plain, where: str) -> Scalar:
    """The value as a number of the hole's type and range."""
    if not is_number(value, hole.kind) or not hole.low <= value <= hole.high:
        rule = f"must be a number of type {hole.kind} from {hole.low:g} to {hole.high:g}"
        raise SpecError(f"`{where}`: {rule}, got {value!r}.")
    return float(value) if hole.kind == "float" else value
