"""Bundles: one choice that decides several settings which make sense only together.

    bundles:
      distance:
        type: categorical
        choices:
          - {name: unit, model.embedding.l2norm: true, loss.margin: {type: float, low: 0.3, high: 1.5}}
          - {name: free, model.embedding.l2norm: false, loss.margin: {type: float, low: 1.0, high: 4.0}}

A bundle is a categorical hole whose choices are mappings of dotted keys; `name` labels the choice, and its own holes
are sampled only when it is taken.
"""

from collections.abc import Collection, Mapping
from typing import Any

from study.spec.errors import SpecError
from study.spec.holes import find_holes, is_hole
from study.spec.reading import override

KEY = "bundles"


def unbundle(filled: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """The filled template with the chosen bundles' settings in their places.

    Args:
        filled: a template without holes, its bundles being the chosen mappings.
        kept: dotted keys that something stronger has set; no bundle changes them.
    """
    plain = {key: value for key, value in filled.items() if key != KEY}
    for bundle in filled.get(KEY, {}).values():
        settings = {key: value for key, value in bundle.items() if key != "name"}
        plain = override(
            plain,
            {
                key: value
                for key, value in settings.items()
                if not any(_overlap(key, other) for other in kept)
            },
        )
    return plain


def check_bundles(template: Mapping[str, Any], fixed: tuple[str, ...]) -> None:
    """Refuses bundles that are no choice among mappings, that set what all trials share or what is searched elsewhere too.

    Args:
        template: the study file's template.
        fixed: dotted keys that may not differ between trials.

    Raises:
        SpecError: the first bundle that is wrong.
    """
    bundles = template.get(KEY, {})
    searched = [path for path, _ in find_holes({key: value for key, value in template.items() if key != KEY})]
    if not isinstance(bundles, Mapping):
        raise SpecError(f"`{KEY}`: must be a mapping of bundles by name, got {bundles!r}.")
    for name, bundle in bundles.items():
        where = f"{KEY}.{name}"
        choices = bundle.get("choices") if is_hole(bundle) and bundle["type"] == "categorical" else [bundle]
        for choice in choices if isinstance(choices, list) else [choices]:
            if not isinstance(choice, Mapping) or not isinstance(choice.get("name"), str):
                raise SpecError(
                    f"`{where}`: must be `{{type: categorical, choices: [...]}}` with mappings of dotted keys that each have a `name`, "
                    f"got {choice!r}."
                )
            for key in choice:
                if key.startswith(fixed):
                    raise SpecError(
                        f"`{where}.{choice['name']}.{key}`: must be one value, since all trials share it. Set it outside."
                    )
                if twice := next((path for path in searched if _overlap(key, path)), None):
                    raise SpecError(
                        f"`{where}.{choice['name']}.{key}`: must not be a hole of its own too, got `{twice}`. Keep one."
                    )


def _overlap(key: str, other: str) -> bool:
    """Whether one of two dotted keys is the other or leads to it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
