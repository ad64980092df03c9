"""The order of the rooms, as CONTRIBUTING says it: an import points to a lower layer.

Components are loaded by name through `study.spec.components`, which no import statement shows. A file that
loads a kind of component counts as one that imports the folder of the kind.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.spec.components import FOLDERS

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("study.places",),  # of this machine; knows nothing
    ("study.spec",),
    ("models", "study.data"),
    ("study.evidence",),
    ("study.engine", "study.reporting"),
    ("study",),  # the commands
)
ENGINE = ("orders", "training", "search", "start", "forecast", "applying", "cluster", "doctor")
# Of the two rooms of a layer one may load the other's components: data sets draw images with a generator.
BESIDE = {("study.data", "models")}
TORCH_FREE = ("study/spec", "study/evidence", "study/reporting", "study/report.py")
EMBEDS = "study/evidence/embed.py"
REGISTRY = {"load", "build", "parse", "names", "schema"}
FILES = sorted(p for package in ("study", "models") for p in (ROOT / package).rglob("*.py"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that a file names in an import, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)


def loaded(tree: ast.Module) -> Iterator[str]:
    """The folder of every kind of component that a file loads through the registry."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in REGISTRY and node.args[0].value in FOLDERS:
                yield FOLDERS[str(node.args[0].value)]


def room_of(module: str) -> str:
    """The room of a module: the first two parts of its name in `study`, the first one in `models`."""
    rooms = [room for layer in LAYERS for room in layer if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len)


def layer_of(room: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if room in layer)


def module_of(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    tree, own = ast.parse(path.read_text(encoding="utf-8")), room_of(module_of(path))
    ours = {module for module in imported(tree) if module.split(".")[0] in ("study", "models")}
    if own != "study.spec":  # spec reads the signatures of all components, by their names
        ours |= set(loaded(tree))
    for module in ours:
        room = room_of(module)
        down = layer_of(room) < layer_of(own)
        assert room == own or down or (own, room) in BESIDE, f"{own} imports {module}"
    if own == "models":
        assert not [module for module in ours if module.startswith("study")], "models knows no study"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_ray_and_torch_stay_in_their_rooms(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    tops = {module.split(".")[0] for module in imported(ast.parse(path.read_text(encoding="utf-8")))}
    if not name.startswith("study/engine/cluster/"):
        assert "ray" not in tops
    if name.startswith(TORCH_FREE) and name != EMBEDS:
        assert not tops & {"torch", "torchvision", "timm"}


@pytest.mark.parametrize("room", ENGINE)
def test_rooms_of_the_engine_stand_in_their_order(room: str) -> None:
    lower = ENGINE[: ENGINE.index(room) + 1]
    for path in (ROOT / "study" / "engine" / room).rglob("*.py"):
        for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            parts = module.split(".")
            if parts[:2] == ["study", "engine"]:
                assert parts[2] in lower, f"{path.name} of {room} imports {module}"


def test_every_room_says_what_lives_there() -> None:
    rooms = sorted(
        path for path in (ROOT / "study" / "engine").iterdir() if path.is_dir() and path.name[0] != "_"
    )
    assert sorted(room.name for room in rooms) == sorted(ENGINE)
    for room in rooms:
        said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
        assert said is not None, room.name
        assert len(said) > 80, room.name
