"""What all trials of a study share, so that their numbers can be compared."""

from collections.abc import Mapping
from functools import reduce

from study.spec.errors import SpecError
from study.spec.holes import Plain, find_holes
from study.spec.trial_spec import TrialSpec

_SHARED_DATA_KEYS = (
    "dataset",
    "root",
    "phantom_patients",
    "unit",
    "frame",
    "split",
    "missing_eye",
    "on_bad_image",
)
SHARED_KEYS = (
    *(f"data.{key}" for key in _SHARED_DATA_KEYS),
    *("task", "heads", "objective", "more_objectives", "thresholds", "weights"),
)
"""Dotted keys of the template that all trials of a study share."""
ONE_EYE_HINT = (
    "A network that sees one eye at a time stands beside the others with `model.fusion: late` and "
    "`training.supervision: eyes`."
)


def shared_values(trial: TrialSpec) -> dict[str, object]:
    """What all trials of a study share, by dotted key."""
    return {key: reduce(getattr, key.split("."), trial) for key in SHARED_KEYS}


def require_shared(study: Mapping[str, object], variant: Mapping[str, object]) -> None:
    """Passes where a variant differs from the study in nothing that makes their numbers comparable.

    Raises:
        SpecError: It differs.
    """
    for key, value in study.items():
        if variant[key] == value:
            continue
        hint = ONE_EYE_HINT if key == "data.unit" else ""
        raise SpecError(
            f"`{key}`: must be that of the study, whose trials are compared on the same patients by the same "
            f"measures, got another one. {hint or 'Set it for the whole study, or write a study of its own.'}"
        )


def refuse_holes(outside: Mapping[str, Plain], template: Mapping[str, Plain]) -> None:
    """A hole may stand only where a trial can differ from another on the same data and split."""
    shared = {key: value for key, value in outside.items() if key not in ("profiles", "ablations")}
    holes = dict(find_holes(template))
    places = [*dict(find_holes(shared)), *(path for path in holes if path.startswith(SHARED_KEYS))]
    if places:
        raise SpecError(
            f"`{places[0]}`: must be one value, since all trials share it, got a hole. "
            "Holes may stand in model, loss, optimiser, training and the image settings of data."
        )
    for path, hole in holes.items():
        if "data.generated." in path and hole.choices is None and not path.endswith(".share"):
            raise SpecError(
                f"`{path}`: must be one value or a list of choices, since generators are trained anew for "
                "each, got a range. Write {type: categorical, choices: [...]}."
            )
