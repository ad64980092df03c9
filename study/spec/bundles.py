"""Bundles: one choice that decides several settings which make sense only together.

    bundles:
      distance:
        type: categorical
        choices:
          - {name: unit, model.embedding.l2norm: true, loss.margin: {type: float, low: 0.3, high: 1.5}}
          - {name: free, model.embedding.l2norm: false, loss.margin: {type: float, low: 1.0, high: 4.0}}

A bundle is a categorical hole whose choices are mappings of dotted keys; `name` labels the choice, and its
own holes are sampled only when it is taken.
"""

from collections.abc import Collection, Iterable, Mapping

from study.spec.errors import SpecError
from study.spec.holes import Plain, find_holes, is_hole
from study.spec.reading import override

BUNDLES = "bundles"


def unbundle(filled: Mapping[str, Plain], kept: Collection[str] = ()) -> dict[str, Plain]:
    """The filled template with the chosen bundles' settings in their places.

    Args:
        filled: a template without holes, its bundles being the chosen mappings.
        kept: dotted keys that something stronger has set; no bundle changes them.

    Raises:
        SpecError: a bundle is no mapping.
    """
    plain = {key: value for key, value in filled.items() if key != BUNDLES}
    bundles = filled.get(BUNDLES, {})
    assert isinstance(bundles, Mapping), "check_bundles refuses anything else"
    for name, bundle in bundles.items():
        if not isinstance(bundle, Mapping):
            raise SpecError(f"`{BUNDLES}.{name}`: must be a mapping of dotted keys, got {bundle!r}.")
        settings = {key: value for key, value in bundle.items() if key != "name"}
        free = {key: value for key, value in settings.items() if not _overlaps_any(key, kept)}
        plain = override(plain, free)
    return plain


def check_bundles(template: Mapping[str, Plain], shared: tuple[str, ...]) -> None:
    """Refuses bundles that are no choice among mappings, and settings that are shared or searched elsewhere.

    Args:
        template: the study file's template.
        shared: dotted keys that may not differ between trials.

    Raises:
        SpecError: the first bundle that is wrong.
    """
    bundles = template.get(BUNDLES, {})
    if not isinstance(bundles, Mapping):
        raise SpecError(f"`{BUNDLES}`: must be a mapping of bundles by name, got {bundles!r}.")
    others = {key: value for key, value in template.items() if key != BUNDLES}
    searched = [path for path, _ in find_holes(others)]
    for name, bundle in bundles.items():
        where = f"{BUNDLES}.{name}"
        for choice in _choices(bundle):
            _check_choice(choice, where, shared, searched)


def require_effect(template: Mapping[str, Plain], settings: Iterable[str]) -> None:
    """Refuses a setting of the command line or of a profile that a bundle replaces in every trial.

    Args:
        template: a template whose bundles `check_bundles` has accepted.
        settings: dotted keys.

    Raises:
        SpecError: the first setting without effect.
    """
    bundles = template.get(BUNDLES) or {}
    assert isinstance(bundles, Mapping), "check_bundles refuses anything else"
    for key in settings:
        for name, bundle in bundles.items():
            choices = [choice for choice in _choices(bundle) if isinstance(choice, Mapping)]
            if choices and all(any(_holds(other, key) for other in choice) for choice in choices):
                raise SpecError(
                    f"`{key}`: must change something, but every choice of the bundle `{name}` sets it anew. "
                    f"Set `{BUNDLES}.{name}` in its place, for example to `{{name: mine, {key}: ...}}`."
                )


def _choices(bundle: Plain) -> list[Plain]:
    """What a bundle chooses among; a bundle without a choice is its only one."""
    if not isinstance(bundle, Mapping) or not is_hole(bundle) or bundle["type"] != "categorical":
        return [bundle]
    choices = bundle.get("choices")
    return choices if isinstance(choices, list) else [choices]


def _check_choice(choice: Plain, where: str, shared: tuple[str, ...], searched: list[str]) -> None:
    if not isinstance(choice, Mapping) or not isinstance(choice.get("name"), str):
        raise SpecError(
            f"`{where}`: must be `{{type: categorical, choices: [...]}}` with mappings of dotted keys "
            f"that each have a `name`, got {choice!r}."
        )
    for key in choice:
        place = f"`{where}.{choice['name']}.{key}`"
        if key.startswith(shared):
            raise SpecError(f"{place}: must be one value, since all trials share it. Set it outside.")
        if twice := next((path for path in searched if _overlap(key, path)), None):
            raise SpecError(f"{place}: must not be a hole of its own too, got `{twice}`. Keep one.")


def _overlaps_any(key: str, others: Collection[str]) -> bool:
    return any(_overlap(key, other) for other in others)


def _overlap(key: str, other: str) -> bool:
    """Whether one of two dotted keys is the other or leads to it."""
    return _holds(key, other) or _holds(other, key)


def _holds(key: str, other: str) -> bool:
    """Whether a dotted key is the other one or leads to it."""
    return f"{other}.".startswith(f"{key}.")
