"""How sizes, durations, settings and parameters are written for people."""

import math
from collections.abc import Collection, Mapping

from study.spec.task import ThresholdRule

MISSING = "–"
MOST_LETTERS = 2000  # of a message; an error of a stranger's code may print a whole array
MINUS = "\N{MINUS SIGN}"
THRESHOLD_WORDS: Mapping[ThresholdRule, str] = {
    "f1": "at thresholds chosen for each label on validation (greatest F1)",
    "youden": "at thresholds chosen for each label on validation (greatest sensitivity + specificity)",
    "half": "at one half for every label",
}
"""Where the decisions are made, by the study's rule."""


def shortened(text: str) -> str:
    """The text, or its start with the number of letters that are left out."""
    more = len(text) - MOST_LETTERS
    return text if more <= 0 else f"{text[:MOST_LETTERS]} ... ({more} more letters)"


def size_text(num_bytes: float) -> str:
    """A number of bytes: `200 KiB`, `5 MiB`, `3.0 GiB`."""
    if num_bytes >= 2**30:
        return f"{num_bytes / 2**30:.1f} GiB"
    if 0 < num_bytes < 2**20:
        return f"{num_bytes / 2**10:.0f} KiB"
    return f"{num_bytes / 2**20:.0f} MiB"


def duration_text(seconds: float) -> str:
    """A number of seconds: `3 s`, `2 min`, `2.0 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def number_text(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with fixed places and a true minus sign; a dash where there is no finite number.

    Args:
        value: The number.
        digits: Places after the point.
        signed: Whether a positive number has a plus sign.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def setting_text(value: object) -> str:
    """The value of a setting: `0.00012`, `yes`, `gated (dim 64)`, `0.3 to 1.5`, `one of relu, gelu`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(setting_text, value))
    if isinstance(value, Mapping):
        return _mapping_text(value)
    return str(value)


def _mapping_text(value: Mapping[str, object]) -> str:
    """A hole of a search space, or a component with its arguments."""
    if "type" in value and "choices" in value:
        return f"one of {setting_text(value['choices'])}"
    if "type" in value:
        return f"{setting_text(value['low'])} to {setting_text(value['high'])}"
    rest = ", ".join(f"{key} {setting_text(part)}" for key, part in value.items() if key != "name")
    if "name" not in value:
        return rest
    return f"{value['name']} ({rest})" if rest else str(value["name"])


def component_name(value: object) -> str:
    """The name of a component as a record holds it: a bare name, or a mapping with its arguments."""
    return str(value["name"] if isinstance(value, Mapping) else value)


def change_text(value: object) -> str:
    """What a profile set; variants and choices, which may fill a page, stand by their names alone."""
    if not isinstance(value, Mapping):
        return setting_text(value)
    if "variants" in value:
        return f"the variants {', '.join(value['variants'])}"
    if "choices" in value:
        return f"one of {', '.join(map(change_text, value['choices']))}"
    if "name" in value and any("." in key for key in value):  # a choice of a bundle, with dotted keys
        return str(value["name"])
    return setting_text(value)


def changes_text(changes: Mapping[str, object]) -> str:
    """Changes by dotted key, each section named once: `training: epochs 12, seed 0; search: trials 10`."""
    sections: dict[str, list[str]] = {}
    for key, value in changes.items():
        section, _, rest = key.partition(".")
        words = "left out" if value is None else change_text(value)
        sections.setdefault(section, []).append(f"{rest} {words}".strip())
    return "; ".join(f"{section}: {', '.join(parts)}" for section, parts in sections.items())


def shortest_names(keys: Collection[str]) -> dict[str, str]:
    """The shortest dotted end of each key that is no end of another key."""
    return {key: _shortest_name(key, keys) for key in keys}


def _shortest_name(key: str, keys: Collection[str]) -> str:
    parts = key.split(".")
    for num_parts in range(1, len(parts)):
        end = ".".join(parts[-num_parts:])
        if not any(other != key and f".{other}".endswith(f".{end}") for other in keys):
            return end
    return key


def configuration_text(params: Mapping[str, object], names: Mapping[str, str]) -> str:
    """The parameters of a trial: `backbone resnet50, lr 0.00012`.

    Args:
        params: Values by parameter.
        names: Name of each parameter, in the order of writing.
    """
    return ", ".join(f"{name} {setting_text(params[key])}" for key, name in names.items() if key in params)
