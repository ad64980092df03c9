"""Imports point backwards along the reading order spec, data, engine, evidence, reporting, or into `models/`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "models": {"models"},
    "study.spec": {"study.spec"},
    "study.data": {"study.spec", "study.data"},
    "study.evidence": {"models", "study.spec", "study.evidence"},
    "study.engine": {"models", "study.spec", "study.data", "study.evidence", "study.engine"},
    "study.reporting": {"study.spec", "study.evidence", "study.reporting"},
}
RAY_FILES = {
    f"study/engine/{name}.py" for name in ("search", "trial", "cluster", "cluster_file", "cluster_room")
}
TORCH_FREE = ("study/spec", "study/evidence", "study/reporting", "study/report.py")
FILES = sorted(p for package in ("study", "models") for p in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_backwards(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    modules = imported(path)
    room = next((r for r in ROOMS if name.startswith(r.replace(".", "/") + "/")), None)
    if room:
        ours = {m for m in modules if m.split(".")[0] in ("study", "models")}
        allowed = tuple(ROOMS[room])
        assert not [m for m in ours if not (m.startswith(tuple(a + "." for a in allowed)) or m in allowed)]
    tops = {m.split(".")[0] for m in modules}
    if name not in RAY_FILES:
        assert "ray" not in tops
    if name.startswith(TORCH_FREE) and name != "study/evidence/embed.py":
        assert not tops & {"torch", "torchvision", "timm"}
