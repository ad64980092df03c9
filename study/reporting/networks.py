"""The parts of a trial's network by their names, and which networks of a run are of one family."""

from collections.abc import Mapping
from typing import Any

from study.reporting.run import Run
from study.spec.wording import component_name

SLOTS = ("backbone", "context", "attention", "fusion")  # of the section `model`, in the order of the data
PARTS = (*SLOTS, "loss")
NONE = "none"


def parts_of(run: Run, trial: str) -> dict[str, str]:
    """The component in each part of a trial's network, in the order of the data; what it lacks is `none`.

    A network for single images has no fusion. A part that the records do not name is left out.
    """
    spec: Mapping[str, Any] = run.of_trial(trial, "spec")
    model = spec.get("model", {})
    found = {slot: component_name(model[slot]) for slot in SLOTS if model.get(slot) is not None}
    if "loss" in spec:
        found["loss"] = component_name(spec["loss"])
    if run.study["num_views"] == 1:
        found.pop("fusion", None)
    return found


def network_words(parts: Mapping[str, str]) -> str:
    """The network in words: `resnet50 with osim context, concat fusion and focal loss`."""
    named = [f"{name} {part}" for part, name in parts.items() if part != "backbone" and name != NONE]
    backbone = parts.get("backbone", "of unknown backbone")
    if not named:
        return backbone
    return f"{backbone} with {' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))}"


def differing_words(parts: Mapping[str, str], other: Mapping[str, str]) -> str:
    """What another network has in place of some parts: `attention cbam, fusion sum`."""
    changed = {part: other.get(part, NONE) for part in PARTS if parts.get(part) != other.get(part)}
    return ", ".join(f"{part} {name}" if name != NONE else f"no {part}" for part, name in changed.items())


def next_family(run: Run, trial: str) -> str | None:
    """The best trial of the search, by validation, that has another component than the trial in some part."""
    parts = parts_of(run, trial)
    others = run.ranked.index[run.ranked["value"].notna()]
    return next((str(key) for key in others if parts_of(run, str(key)) != parts), None)
