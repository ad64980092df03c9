"""A small drawing of a trial's network, in the colours of the page around it."""

from collections.abc import Mapping
from html import escape
from typing import Any

from study.reporting.networks import NONE, network_words, parts_of
from study.reporting.results import setting_words
from study.reporting.run import Run

WIDTH, ROW, TOP = 400, 34, 20  # in the units of the drawing: its width, a slot of the branch, what is above
BRANCH_X, BRANCH_WIDTH = 62, 146
NEXT_X, NEXT_WIDTH = 226, 170
LETTERS = {BRANCH_WIDTH: 25, NEXT_WIDTH: 30}  # of the small print in a box of that width
IN_BRANCH = ("backbone", "context", "attention")


def network_drawing(run: Run, trial: str) -> str:
    """The eyes, the branch that they share, the fusion, the head and the loss, from left to right."""
    parts = parts_of(run, trial)
    spec: Mapping[str, Any] = run.of_trial(trial, "spec")
    model = spec.get("model", {})
    branch = [part for part in IN_BRANCH if part in parts]
    after = {"fusion": model.get("fusion")} if "fusion" in parts else {}
    after |= {"head": model.get("head"), "loss": spec.get("loss")}
    after = {key: value for key, value in after.items() if value is not None}
    height = TOP + ROW * max(len(branch), len(after), 2) + 22
    middle = TOP + ROW * max(len(branch), len(after), 2) / 2
    shapes = _eyes(run.study["num_views"], middle)
    shapes += _stack({part: model.get(part) for part in branch}, BRANCH_X, BRANCH_WIDTH, middle)
    shapes += _stack(after, NEXT_X, NEXT_WIDTH, middle)
    shapes += [_arrow(BRANCH_X + BRANCH_WIDTH, NEXT_X, middle)]
    shared = "one branch for both eyes" if run.study["num_views"] == 2 else "branch"
    shapes += [_words(BRANCH_X, 12, shared, "kind"), _words(BRANCH_X, height - 6, _size(run, trial), "kind")]
    words = escape(f"Drawing of the network: {network_words(parts)}")
    return (
        f'<svg class="network" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">'
        f"<title>{words}</title>{''.join(shapes)}</svg>"
    )


def _size(run: Run, trial: str) -> str:
    """The size of the network and of its images, as far as the records have them."""
    number = run.of_trial(trial, "num_parameters")
    px = run.of_trial(trial, "spec").get("data", {}).get("image_px")
    parts = [f"{float(number) / 1e6:.2g} M parameters" if number else "", f"{px} px" if px else ""]
    return ", ".join(filter(None, parts))


def _eyes(num: int, middle: float) -> list[str]:
    """One eye, or the left above the right one, each with an arrow into the branch."""
    places = {"": middle} if num == 1 else {"left": middle - 26, "right": middle + 26}
    shapes = []
    for name, y in places.items():
        disc = 30 if name == "right" else 16
        shapes.append(f'<circle class="eye" cx="23" cy="{y}" r="17"/>')
        shapes.append(f'<circle class="disc" cx="{disc}" cy="{y}" r="3.4"/>')
        shapes.append(_words(23, y + 26, name, "kind middle"))
        shapes.append(_arrow(41, BRANCH_X, y))
    return shapes


def _stack(slots: Mapping[str, object], x: int, width: int, middle: float) -> list[str]:
    """Boxes below each other: what a slot is, the component in it, and its arguments where they fit."""
    top = middle - ROW * len(slots) / 2
    shapes = []
    for place, (kind, value) in enumerate(slots.items()):
        y = top + place * ROW
        name, arguments = _name_and_arguments(value, LETTERS[width] - len(kind))
        empty = " empty" if name == NONE else ""
        shapes.append(f'<rect class="box{empty}" x="{x}" y="{y + 1}" width="{width}" height="{ROW - 3}"/>')
        shapes.append(_words(x + 7, y + 12, f"{kind}{arguments and ' · '}{arguments}", "kind"))
        shapes.append(_words(x + 7, y + 26, name, f"name{empty}"))
    return shapes


def _name_and_arguments(value: object, letters: int) -> tuple[str, str]:
    """The component's name, and its arguments as far as they are written out and there is room."""
    if not isinstance(value, Mapping):
        return str(value), ""
    arguments = [f"{key} {setting_words(part)}" for key, part in value.items() if key != "name"]
    shown: list[str] = []
    for argument in arguments:
        if len(", ".join([*shown, argument])) <= letters:
            shown.append(argument)
    return str(value["name"]), ", ".join(shown)


def _arrow(start: float, end: float, y: float) -> str:
    tip = end - 2
    return f'<path class="arrow" d="M{start + 2} {y}H{tip}m-4 -3l4 3l-4 3"/>'


def _words(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>' if words else ""
